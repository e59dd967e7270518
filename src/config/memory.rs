//! How much memory this process may use: the machine's, or less if a cgroup (v1 or v2) says so.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Disque's default, for a machine that does not tell how much memory it has.
const UNKNOWN: u64 = 1 << 30;

/// 70 % of what there is: the rest is for buffers, fragmentation and the storage's cache.
pub(super) fn default_maxmemory() -> Option<NonZeroU64> {
    static LIMIT: LazyLock<u64> =
        LazyLock::new(|| limit(Path::new("/")).map_or(UNKNOWN, |bytes| bytes / 10 * 7));
    NonZeroU64::new(*LIMIT)
}

/// The bytes that may be used, as the files below `root` tell.
fn limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts = root.join("sys/fs/cgroup");
    let limits = groups.lines().filter_map(|line| group_limit(&mounts, line));
    limits.chain(machine(root)).min()
}

fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The limit of one line of `/proc/self/cgroup`, `number:controllers:path`: the least of the group and of
/// those around it.
///
/// In a container the path may be that of the host, which is not to be seen from inside: then the top
/// of the tree is the container's own group.
fn group_limit(mounts: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, group) = (fields.next()?, fields.next()?);
    let (top, file) = if controllers.is_empty() {
        (mounts.to_owned(), "memory.max")
    } else if controllers
        .split(',')
        .any(|controller| controller == "memory")
    {
        (mounts.join("memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    around(&top, group)
        .iter()
        .filter_map(|folder| read_limit(&folder.join(file)))
        .min()
}

/// The folders from the top of the tree to the group.
fn around(top: &Path, group: &str) -> Vec<PathBuf> {
    let mut folders = vec![top.to_owned()];
    for name in group.split('/').filter(|name| !name.is_empty()) {
        if name == ".." {
            break;
        }
        let parent = folders.last().expect("the top is always there");
        folders.push(parent.join(name));
    }
    folders
}

/// `max` (v2) is no number and so no limit; v1 says it with one near 2⁶³, more than any machine has.
fn read_limit(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemFree: 1 kB\nMemTotal:   8192 kB\n");

    fn limit_with(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("make the folder");
            fs::write(path, text).expect("write the file");
        }
        limit(root.path())
    }

    #[test]
    fn without_a_group_it_is_the_machine() {
        assert_eq!(limit_with(&[MEMINFO]), Some(8 << 20));
        assert_eq!(limit_with(&[]), None);
    }

    #[test]
    fn the_tightest_group_of_v2_counts() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/memory.max", "4194304\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ];
        assert_eq!(limit_with(&files), Some(4 << 20));
        let own_tree = [
            MEMINFO,
            ("proc/self/cgroup", "0::/../../host/path\n"),
            ("sys/fs/cgroup/memory.max", "2097152\n"),
        ];
        assert_eq!(limit_with(&own_tree), Some(2 << 20));
    }

    #[test]
    fn the_memory_group_of_v1_counts_unless_it_has_no_limit() {
        let line = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/1\n");
        let limited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "3145728\n");
        assert_eq!(limit_with(&[MEMINFO, line, limited]), Some(3 << 20));
        let free = (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        assert_eq!(limit_with(&[MEMINFO, line, free]), Some(8 << 20));
    }
}
