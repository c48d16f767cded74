//! The real program as processes of ours, ended by their own handles.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Api, Failure, Outcome, ms};

const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// How to run Chancery: its program, a folder of its own, and an environment with nothing else in it.
#[derive(Clone)]
pub struct Program {
    binary: PathBuf,
    pub folder: PathBuf,
    environment: Vec<(String, String)>,
    /// The hard limit it is started with, if not ours.
    descriptors: Option<u64>,
}

impl Program {
    pub fn new(binary: &Path, folder: &Path) -> Self {
        let program = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            environment: Vec::new(),
            descriptors: None,
        };
        // A hash costs next to nothing, and a drill is no attack.
        program
            .with("CHANCERY_SERVER__LISTEN", "127.0.0.1:0")
            .with("CHANCERY_SERVER__WORKERS", "2")
            .with("CHANCERY_PASSWORDS__MEMORY_KIB", "64")
            .with("CHANCERY_PASSWORDS__ITERATIONS", "1")
            .with("CHANCERY_LOGIN__MAX_REGISTRATIONS_PER_NETWORK", "0")
            .with("CHANCERY_LOG__FORMAT", "json")
    }

    /// Sets a variable; the later wins.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// With no more descriptors than that, whatever it asks for.
    pub fn with_descriptors(mut self, most: u64) -> Self {
        self.descriptors = Some(most);
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.descriptors {
            None => Command::new(&self.binary),
            // Becomes the program, under the same process id.
            Some(most) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {most}; exec \"$0\" \"$@\"")).arg(&self.binary);
                shell
            }
        };
        command.args(arguments).current_dir(&self.folder).env_clear().envs(self.environment.iter().cloned());
        command
    }

    /// Starts a command and does not wait. What it says goes to files in the folder.
    pub fn spawn(&self, name: &str, arguments: &[&str], stdin: &str) -> Outcome<Running> {
        let input = self.folder.join(format!("{name}.in"));
        fs::write(&input, stdin)?;
        let (out, log) = (self.folder.join(format!("{name}.out")), self.folder.join(format!("{name}.log")));
        let appended = File::options().create(true).append(true).open(&log)?;
        let child = self
            .command(arguments)
            .stdin(Stdio::from(File::open(&input)?))
            .stdout(File::create(&out)?)
            .stderr(appended)
            .spawn()
            .map_err(|error| Failure::new(format!("{}: {error}", self.binary.display())))?;
        Ok(Running { child, out, log })
    }

    /// Runs a command to its end, which must be a good one. Gives what it printed.
    pub async fn run(&self, name: &str, arguments: &[&str], stdin: &str) -> Outcome<String> {
        let mut running = self.spawn(name, arguments, stdin)?;
        let status = running.end(Duration::from_secs(30)).await?;
        if status.success() {
            return running.said();
        }
        Err(Failure::new(format!(
            "`chancery {}` ended with {status}: {}",
            arguments.join(" "),
            running.tail()
        )))
    }

    /// Starts a node and waits until it is ready.
    pub async fn serve(&self, api: &Api, name: &str) -> Outcome<Node> {
        let begun = Instant::now();
        let mut running = self.spawn(name, &["serve"], "")?;
        let address = loop {
            let said = running.said()?;
            if let Some(address) = said.split_whitespace().find(|word| word.starts_with("http://"))
                && said.contains("/docs/")
            {
                break address.to_owned();
            }
            if let Some(status) = running.child.try_wait()? {
                return Err(Failure::new(format!("{name} ended with {status}: {}", running.tail())));
            }
            if begun.elapsed() > STARTS_WITHIN {
                return Err(Failure::new(format!("{name} does not start: {}", running.tail())));
            }
            tokio::time::sleep(ms(5)).await;
        };
        loop {
            match api.get(&address, "/health/ready").await {
                Ok(answer) if answer.status == 200 => break,
                told if begun.elapsed() > STARTS_WITHIN => {
                    return Err(Failure::new(format!("{name} is not ready: {told:?}: {}", running.tail())));
                }
                _ => tokio::time::sleep(ms(5)).await,
            }
        }
        Ok(Node { name: name.to_owned(), address, running, ready_after: begun.elapsed() })
    }
}

/// A process of ours. It is gone when this is dropped.
pub struct Running {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Running {
    pub fn said(&self) -> Outcome<String> {
        Ok(fs::read_to_string(&self.out)?)
    }

    /// Waits for its end.
    pub async fn end(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(ms(2)).await;
        }
        Err(Failure::new(format!("did not end within {limit:?}: {}", self.tail())))
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that is in use, in kB.
    pub fn resident(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kilobytes.ok_or_else(|| Failure::new("a process without VmRSS"))
    }

    /// kill -9.
    pub fn kill(mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    pub fn log(&self) -> Outcome<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server process.
pub struct Node {
    pub name: String,
    pub address: String,
    pub running: Running,
    /// From its start to its first 200 on /health/ready.
    pub ready_after: Duration,
}

impl Node {
    /// kill -9.
    pub fn kill(self) -> Outcome {
        self.running.kill()
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(mut self) -> Outcome {
        signal("-TERM", &[self.running.pid()])?;
        let status = self.running.end(Duration::from_secs(20)).await?;
        match status.success() {
            true => Ok(()),
            false => Err(Failure::new(format!("{} ended with {status}", self.name))),
        }
    }
}

/// Sends a signal to processes by their ids.
pub fn signal(which: &str, pids: &[u32]) -> Outcome {
    let ids = pids.iter().map(u32::to_string);
    let status = Command::new("kill").arg(which).args(ids).stderr(Stdio::null()).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("kill {which} {pids:?} ended with {status}"))),
    }
}
