//! Who can put something else in a file's place.

use nix::unistd::{Gid, Group, Uid, User};
use rustix::process::{getegid, geteuid};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

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
    pub fn is_another(self) -> bool {
        match self {
            Self::User(uid) => ![0, geteuid().as_raw()].contains(&uid),
            // A group of its own for each user is what most systems have.
            Self::Group(gid) => gid != 0 && !(gid == getegid().as_raw() && is_of_one(gid)),
            Self::Everyone => true,
        }
    }
}

fn is_of_one(gid: u32) -> bool {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    let user = User::from_uid(Uid::from_raw(geteuid().as_raw())).ok().flatten();
    group.zip(user).is_some_and(|(group, user)| group.name == user.name)
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

/// Who can write to a file, or to a directory that leads to it; by its name, and where symlinks lead. Who owns a
/// directory with the sticky bit can, others only where the file is theirs. ACLs are not looked at.
#[must_use]
pub fn writers(path: &Path) -> BTreeSet<Writer> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let ways = path.ancestors().chain(real.ancestors()).filter_map(|way| std::fs::metadata(way).ok());
    ways.flat_map(|meta| of(&meta)).collect()
}

fn of(meta: &Metadata) -> Vec<Writer> {
    let others = if meta.is_dir() && meta.mode() & 0o1000 != 0 { 0 } else { meta.mode() };
    let group = Some(Writer::Group(meta.gid())).filter(|_| others & 0o020 != 0);
    let everyone = Some(Writer::Everyone).filter(|_| others & 0o002 != 0);
    [Some(Writer::User(meta.uid())), group, everyone].into_iter().flatten().collect()
}
