use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The real program in a folder of its own, with nothing in its environment but what a test gives it.
pub struct Chancery {
    pub folder: PathBuf,
    program: PathBuf,
    environment: Vec<(String, String)>,
}

impl Chancery {
    pub fn new(folder: &Path) -> Self {
        let cheap = [
            ("CHANCERY_SERVER__LISTEN", "127.0.0.1:0"),
            ("CHANCERY_PASSWORDS__MEMORY_KIB", "64"),
            ("CHANCERY_PASSWORDS__ITERATIONS", "1"),
            ("CHANCERY_LOG__FORMAT", "json"),
            // Many tests share two cores; none of them is about being slow.
            ("CHANCERY_PASSWORDS__QUEUE_TIMEOUT", "30s"),
            ("CHANCERY_DATABASE__ACQUIRE_TIMEOUT", "30s"),
            ("CHANCERY_SERVER__REQUEST_TIMEOUT", "60s"),
        ];
        Self::of(Path::new(env!("CARGO_BIN_EXE_chancery")), folder, &cheap)
    }

    /// A program with its own names of settings.
    pub(super) fn of(program: &Path, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { folder: folder.to_owned(), program: program.to_owned(), environment: environment.collect() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).env_clear().envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("written");
        child.wait_with_output().expect("ended")
    }

    /// Serves until dropped or killed. Returns when it answers.
    pub fn serve(&self) -> Serving {
        let log = std::fs::File::create(self.folder.join("log")).expect("a log");
        let mut child =
            self.command(&["serve"]).stdout(Stdio::piped()).stderr(log).spawn().expect("the program starts");
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        while !said.contains("/docs/") {
            let read = lines.read_line(&mut said).expect("readable");
            assert!(
                read > 0,
                "the server ended: {}",
                std::fs::read_to_string(self.folder.join("log")).unwrap()
            );
        }
        let address = said.split_whitespace().find(|word| word.starts_with("http")).expect("an address");
        Serving { child, address: address.to_owned(), said }
    }
}

/// A running server process.
pub struct Serving {
    child: Child,
    pub address: String,
    /// What it printed at its start.
    pub said: String,
}

impl Serving {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit code, if it ends by itself in time.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("waited") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks it to stop, and gives its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("waited") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not stop");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
