//! The release that this tree must follow, as a program. `scripts/previous-release` builds it from git.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::process::Chancery;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Builds the program once per commit. The first build takes a while and reports its progress on standard error.
fn program() -> &'static Path {
    PROGRAM.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/previous-release");
        let built = Command::new(script).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let built = built.expect("scripts/previous-release runs");
        assert!(built.status.success(), "scripts/previous-release failed; its message is on standard error");
        String::from_utf8(built.stdout).expect("a path").trim_end().into()
    })
}

impl Chancery {
    /// The program of the previous release. Its settings have the names of that release.
    pub fn previous(folder: &Path) -> Self {
        let cheap = [
            ("CHANCERY_SERVER__LISTEN", "127.0.0.1:0"),
            ("CHANCERY_PASSWORDS__MEMORY_KIB", "64"),
            ("CHANCERY_PASSWORDS__ITERATIONS", "1"),
            ("CHANCERY_LOG__FORMAT", "json"),
            ("CHANCERY_PASSWORDS__WAIT", "30s"),
            ("CHANCERY_DATABASE__ACQUIRE_TIMEOUT", "30s"),
            ("CHANCERY_SERVER__REQUEST_TIMEOUT", "60s"),
        ];
        Self::of(program(), folder, &cheap)
    }
}
