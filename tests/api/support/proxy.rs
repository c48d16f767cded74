use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A wire to a Postgres server that can be cut and mended, and forget what is open.
pub struct Wire {
    address: SocketAddr,
    target: String,
    task: Option<JoinHandle<()>>,
    is_up: Arc<AtomicBool>,
    /// How often it forgot.
    forgot: Arc<AtomicUsize>,
}

impl Wire {
    pub async fn to(url: &str) -> Self {
        let url = reqwest::Url::parse(url).expect("a URL");
        let target = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let mut wire = Self { address, target, task: None, is_up: Arc::default(), forgot: Arc::default() };
        wire.carry(listener);
        wire
    }

    /// The URL of a database by way of the wire.
    pub fn url(&self, direct: &str) -> String {
        let mut url = reqwest::Url::parse(direct).expect("a URL");
        url.set_port(Some(self.address.port())).expect("a port");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.into()
    }

    /// Nobody answers any more, and connections break.
    pub async fn cut(&mut self) {
        self.is_up.store(false, Ordering::SeqCst);
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }

    pub async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("bound again");
        self.carry(listener);
    }

    /// Connections that are open stay so, and nobody answers on them. New ones work.
    pub fn forget(&self) {
        self.forgot.fetch_add(1, Ordering::SeqCst);
    }

    fn carry(&mut self, listener: TcpListener) {
        self.is_up.store(true, Ordering::SeqCst);
        let (target, is_up) = (self.target.clone(), Arc::clone(&self.is_up));
        let forgot = Arc::clone(&self.forgot);
        self.task = Some(tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (target, is_up, forgot) = (target.clone(), Arc::clone(&is_up), Arc::clone(&forgot));
                let known_since = forgot.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    let until = async |is_so: &(dyn Fn() -> bool + Sync)| {
                        while !is_so() {
                            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                        }
                    };
                    let is_cut = || !is_up.load(Ordering::SeqCst);
                    let is_forgotten = || forgot.load(Ordering::SeqCst) != known_since;
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = until(&is_cut) => {}
                        () = until(&is_forgotten) => until(&is_cut).await,
                    }
                });
            }
        }));
    }
}
