//! Finds who can replace a file.

use nix::unistd::{Gid, Group, Uid, User};
use rustix::process::geteuid;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// A user or group with write access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    /// The owner of the file or of a directory of its path.
    User(u32),
    Group(u32),
    Everyone,
}

impl Writer {
    /// Returns whether this includes anyone but root and the current user.
    #[must_use]
    pub fn is_untrusted(self) -> bool {
        let trusted = [0, geteuid().as_raw()];
        match self {
            Self::User(uid) => !trusted.contains(&uid),
            Self::Group(gid) => {
                !(gid == 0 || is_user_private_group(gid)) || !has_only_trusted_members(gid)
            }
            Self::Everyone => true,
        }
    }
}

/// Returns whether a group is the current user's private group of the same name, as most systems
/// create it. Other users with this primary group cannot be detected.
fn is_user_private_group(gid: u32) -> bool {
    let user = User::from_uid(Uid::from_raw(geteuid().as_raw()))
        .ok()
        .flatten();
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    user.zip(group)
        .is_some_and(|(user, group)| user.gid.as_raw() == gid && user.name == group.name)
}

fn has_only_trusted_members(gid: u32) -> bool {
    let trusted = [0, geteuid().as_raw()];
    let is_trusted = |name: &String| {
        let user = User::from_name(name).ok().flatten();
        user.is_some_and(|user| trusted.contains(&user.uid.as_raw()))
    };
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.is_some_and(|group| group.mem.iter().all(is_trusted))
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

/// The most symlinks that are followed, as in Linux.
const MAX_SYMLINKS: usize = 40;

/// Finds who can write to a file or to a directory of its path, symlinks included. In a directory
/// with the sticky bit, only the owners of the directory and of the entry can. Ignores ACLs.
#[must_use]
pub fn find_writers(path: &Path) -> BTreeSet<Writer> {
    let mut found = BTreeSet::new();
    let mut reached = PathBuf::from("/");
    let mut remaining: Vec<OsString> = split_components(path);
    let mut links = 0;
    add_writers(&reached, &mut found);
    while let Some(name) = remaining.pop() {
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
            remaining.extend(split_components(&target));
        }
    }
    found
}

/// Splits a path into its names, in reverse order.
fn split_components(path: &Path) -> Vec<OsString> {
    let name = |part: Component| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

fn add_writers(path: &Path, found: &mut BTreeSet<Writer>) {
    // The directory's writers can create a missing file.
    if let Ok(meta) = path.symlink_metadata() {
        found.extend(writers_from_metadata(&meta));
    }
}

/// Returns who can write to a file, by its mode and owner.
pub(super) fn writers_from_metadata(meta: &Metadata) -> Vec<Writer> {
    // The mode of a symlink means nothing.
    let ignores_mode = meta.is_symlink() || (meta.is_dir() && meta.mode() & 0o1000 != 0);
    let others = if ignores_mode { 0 } else { meta.mode() };
    let group = Some(Writer::Group(meta.gid())).filter(|_| others & 0o020 != 0);
    let everyone = Some(Writer::Everyone).filter(|_| others & 0o002 != 0);
    [Some(Writer::User(meta.uid())), group, everyone]
        .into_iter()
        .flatten()
        .collect()
}
