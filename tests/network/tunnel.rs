//! A line whose connections die without a word: nothing comes through any more, and nobody is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A tunnel to a server. Connections that have carried `alive` bytes fall silent; from the one of number `first_sound`
/// on, counted from 0, they live.
pub struct Tunnel {
    pub address: SocketAddr,
    silenced: Arc<AtomicUsize>,
}

impl Tunnel {
    pub async fn to(server: SocketAddr, alive: usize, first_sound: usize) -> Tunnel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silenced = Arc::<AtomicUsize>::default();
        let count = silenced.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (near, _) = listener.accept().await.unwrap();
                let left = if number < first_sound {
                    alive
                } else {
                    usize::MAX
                };
                tokio::spawn(carry(near, server, left, count.clone()));
            }
        });
        Tunnel { address, silenced }
    }

    /// How many connections have fallen silent.
    pub fn silenced(&self) -> usize {
        self.silenced.load(Ordering::Relaxed)
    }
}

/// Ends when either side hangs up; a silent connection stays open for ever.
async fn carry(mut near: TcpStream, server: SocketAddr, mut left: usize, count: Arc<AtomicUsize>) {
    let mut far = TcpStream::connect(server).await.unwrap();
    let (mut up, mut down) = (vec![0; 4096], vec![0; 4096]);
    while left > 0 {
        let (length, is_done) = tokio::select! {
            read = near.read(&mut up) => {
                let length = read.unwrap_or(0);
                (length, far.write_all(&up[..length]).await.is_err())
            }
            read = far.read(&mut down) => {
                let length = read.unwrap_or(0);
                (length, near.write_all(&down[..length]).await.is_err())
            }
        };
        if length == 0 || is_done {
            return;
        }
        left = left.saturating_sub(length);
    }
    count.fetch_add(1, Ordering::Relaxed);
    std::future::pending::<()>().await;
    drop((near, far));
}
