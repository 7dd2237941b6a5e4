//! Snapshots of the user's files, to detect any change.

use super::Sandbox;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file or directory: kind and mode, inode, time of the last change in nanoseconds, content.
pub type FileSnapshot = (u32, u64, i128, Vec<u8>);

impl Sandbox {
    /// Snapshots the home directory without bypassctl's state.
    pub fn snapshot_files(&self) -> BTreeMap<PathBuf, FileSnapshot> {
        let mut all = BTreeMap::new();
        for top in [".config", ".cache", ".kube"] {
            collect_snapshots(&self.home_path(top), &mut all);
        }
        all
    }

    /// Lists the names in a directory of the sandbox, sorted.
    pub fn list_directory(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory)).expect("a directory of the sandbox");
        let mut names: Vec<String> = entries
            .map(|e| e.expect("entry").file_name().to_string_lossy().into())
            .collect();
        names.sort();
        names
    }

    /// Returns the permission bits of a file of the sandbox.
    pub fn file_mode(&self, name: impl AsRef<Path>) -> u32 {
        std::fs::metadata(self.path(name))
            .expect("a file of the sandbox")
            .mode()
            & 0o7777
    }

    /// Sets the permission bits of a file of the sandbox.
    pub fn chmod(&self, name: impl AsRef<Path>, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode))
            .expect("sandbox");
    }
}

fn collect_snapshots(path: &Path, all: &mut BTreeMap<PathBuf, FileSnapshot>) {
    let Ok(meta) = path.symlink_metadata() else {
        return;
    };
    let bytes = if meta.is_file() {
        std::fs::read(path).expect("a file of the sandbox")
    } else {
        std::fs::read_link(path)
            .map(|to| to.into_os_string().into_encoded_bytes())
            .unwrap_or_default()
    };
    let time = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    all.insert(path.to_owned(), (meta.mode(), meta.ino(), time, bytes));
    for entry in std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|_| meta.is_dir())
    {
        collect_snapshots(&entry.path(), all);
    }
}
