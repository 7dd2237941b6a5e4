//! Who can put something else in a file's place.

use nix::unistd::{Gid, Group, Uid, User};
use rustix::process::geteuid;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// One who can, or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    /// A user, as the owner of the file or of a directory that leads to it.
    User(u32),
    /// A group.
    Group(u32),
    /// Everyone.
    Everyone,
}

impl Writer {
    /// Whether that is neither root nor who runs this.
    #[must_use]
    pub fn is_untrusted(self) -> bool {
        let ours = [0, geteuid().as_raw()];
        match self {
            Self::User(uid) => !ours.contains(&uid),
            Self::Group(gid) => {
                !(gid == 0 || is_user_private_group(gid)) || !has_only_trusted_members(gid)
            }
            Self::Everyone => true,
        }
    }
}

/// Whether a group is that of who runs this alone: most systems give each user one of the same name. Who else has it for
/// a primary group cannot be told.
fn is_user_private_group(gid: u32) -> bool {
    let user = User::from_uid(Uid::from_raw(geteuid().as_raw()))
        .ok()
        .flatten();
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    user.zip(group)
        .is_some_and(|(user, group)| user.gid.as_raw() == gid && user.name == group.name)
}

fn has_only_trusted_members(gid: u32) -> bool {
    let ours = [0, geteuid().as_raw()];
    let is_ours = |name: &String| matches!(User::from_name(name), Ok(Some(user)) if ours.contains(&user.uid.as_raw()));
    matches!(Group::from_gid(Gid::from_raw(gid)), Ok(Some(group)) if group.mem.iter().all(is_ours))
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(0) => f.write_str("root"),
            Self::User(uid) => match User::from_uid(Uid::from_raw(*uid)) {
                Ok(Some(user)) => f.write_str(&user.name),
                _ => write!(f, "uid {uid}"),
            },
            Self::Group(gid) => match Group::from_gid(Gid::from_raw(*gid)) {
                Ok(Some(group)) => write!(f, "group {}", group.name),
                _ => write!(f, "group {gid}"),
            },
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

/// The most symlinks that are followed; the system itself gives up after 40.
const MAX_SYMLINKS: usize = 40;

/// Who can write to a file, to a directory that leads to it, or put another symlink in the place of one that does. Who
/// owns a directory with the sticky bit can, others only where the entry is theirs. ACLs are not looked at.
#[must_use]
pub fn find_writers(path: &Path) -> BTreeSet<Writer> {
    let mut found = BTreeSet::new();
    let mut reached = PathBuf::from("/");
    let mut left: Vec<OsString> = split_components(path);
    let mut links = 0;
    add_writers(&reached, &mut found);
    while let Some(name) = left.pop() {
        if name == ".." {
            reached.pop();
            continue;
        }
        reached.push(name);
        add_writers(&reached, &mut found);
        if let Ok(target) = std::fs::read_link(&reached)
            && links < MAX_SYMLINKS
        {
            links += 1;
            if target.is_absolute() {
                reached = PathBuf::from("/");
            } else {
                reached.pop();
            }
            left.extend(split_components(&target));
        }
    }
    found
}

/// The names of a path, the first one last.
fn split_components(path: &Path) -> Vec<OsString> {
    let name = |part: Component| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

fn add_writers(path: &Path, found: &mut BTreeSet<Writer>) {
    // What is not there can be written to by whom its directory lets.
    if let Ok(meta) = path.symlink_metadata() {
        found.extend(writers_from_metadata(&meta));
    }
}

fn writers_from_metadata(meta: &Metadata) -> Vec<Writer> {
    // A symlink has no mode of its own.
    let is_shared = meta.is_symlink() || (meta.is_dir() && meta.mode() & 0o1000 != 0);
    let others = if is_shared { 0 } else { meta.mode() };
    let group = Some(Writer::Group(meta.gid())).filter(|_| others & 0o020 != 0);
    let everyone = Some(Writer::Everyone).filter(|_| others & 0o002 != 0);
    [Some(Writer::User(meta.uid())), group, everyone]
        .into_iter()
        .flatten()
        .collect()
}
