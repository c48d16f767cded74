//! The HTTP library polls a connection again at once, and again, while what a client has sent ahead fills its buffer; where the
//! client reads no answers that goes on for ever. Whoever asks to be polled so often without a break waits a moment.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::{Sleep, sleep};

/// More than there is an honest reason for.
const IN_A_ROW: u32 = 64;
const REST: Duration = Duration::from_millis(100);

/// Tells a wish to be polled again that is uttered while polling from one that comes later.
#[derive(Default)]
struct Bell {
    is_polling: AtomicBool,
    has_rung: AtomicBool,
    outer: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order, or it might be missed at the end of a poll.
        self.has_rung.store(true, Ordering::SeqCst);
        if !self.is_polling.load(Ordering::SeqCst) {
            self.outer.wake();
        }
    }
}

impl Bell {
    /// Polls once. Whether it wants to be polled again at once.
    fn poll<F: Future>(self: &Arc<Self>, waker: &Waker, future: Pin<&mut F>) -> (Poll<F::Output>, bool) {
        self.has_rung.store(false, Ordering::SeqCst);
        self.is_polling.store(true, Ordering::SeqCst);
        let polled = future.poll(&mut Context::from_waker(waker));
        self.is_polling.store(false, Ordering::SeqCst);
        (polled, self.has_rung.swap(false, Ordering::SeqCst))
    }
}

/// The same future, which keeps no thread to itself.
pub async fn fair_poll<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut in_a_row = 0;
    let mut rest: Option<Pin<Box<Sleep>>> = None;
    poll_fn(move |cx| {
        bell.outer.register(cx.waker());
        if let Some(resting) = &mut rest {
            ready!(resting.as_mut().poll(cx));
            rest = None;
        }
        let (polled, again) = bell.poll(&waker, future.as_mut());
        in_a_row = if again { in_a_row + 1 } else { 0 };
        if polled.is_pending() && again {
            if in_a_row < IN_A_ROW {
                cx.waker().wake_by_ref();
            } else {
                let mut resting = Box::pin(sleep(REST));
                if resting.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                rest = Some(resting);
            }
        }
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_wants_to_be_polled_for_ever_leaves_time_to_others() {
        let mut polls = 0;
        let busy = poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(tokio::time::timeout(3 * REST, fair_poll(busy)).await.is_err());
        assert!((IN_A_ROW..IN_A_ROW + 12).contains(&polls), "{polls}");
    }

    #[tokio::test]
    async fn a_call_from_elsewhere_is_heard() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(fair_poll(receiver));
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }
}
