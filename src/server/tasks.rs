//! What runs for as long as the node does: the core's ticks, housekeeping, and signals.

use std::sync::Arc;
use std::time::Instant;

use sd_notify::NotifyState;
use shoalmq_core::event::Event;
use shoalmq_core::node::MemoryLevel;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::driver::{Shared, Stop};
use super::process::tell_systemd;
use super::reload::Reload;
use super::stats;

/// Gives the core its ticks.
pub(super) async fn ticker(shared: Arc<Shared>) {
    loop {
        let next = shared.driver.lock().tick();
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = shared.tick_sooner.notified() => {}
        }
    }
}

/// What is looked at all the time: rates, idle clients, buffers, a disk that stalls.
pub(super) async fn housekeeping(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(stats::SAMPLE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        every.tick().await;
        let mut driver = shared.driver.lock();
        let buffered = driver.buffered_bytes() + driver.cluster.unsent_bytes();
        driver.feed(Event::ClientBuffers(buffered));
        driver.stats.short_since = match driver.node.under_replicated() {
            0 => None,
            _ => driver.stats.short_since.or_else(|| Some(Instant::now())),
        };
        let used = driver.node.used_memory();
        driver.stats.sample(used);
        if driver.node.memory_level() > MemoryLevel::Normal {
            driver.feed(Event::MemoryPressure);
        }
        let refused = driver.node.refuses_adds();
        driver.refused_adds.note(Instant::now(), refused);
        driver.close_idle();
        driver.close_unread();
        driver.watch_disk(&shared.released);
        driver.watch_rewrite();
        driver.watch_links();
        let sooner = driver.settle();
        drop(driver);
        if sooner {
            shared.tick_sooner.notify_one();
        }
    }
}

/// The signals that a node acts on. From the moment that they are made, none of them ends the process by itself.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> Self {
        let listen = |kind| signal(kind).expect("a handler can be installed for this signal");
        Signals {
            terminate: listen(SignalKind::terminate()),
            interrupt: listen(SignalKind::interrupt()),
            hangup: listen(SignalKind::hangup()),
        }
    }
}

/// Stops the node at SIGTERM and SIGINT, and reads its configuration again at SIGHUP.
pub(super) async fn signals(shared: Arc<Shared>, mut reload: Reload, mut signals: Signals) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => info!("SIGTERM"),
            _ = signals.interrupt.recv() => info!("SIGINT"),
            _ = signals.hangup.recv() => {
                let logging = shared.driver.lock().logging.clone();
                logging.reopen();
                tell_systemd(&[NotifyState::Reloading, NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0))]);
                let reloading = Arc::clone(&shared);
                let reloaded = tokio::task::spawn_blocking(move || {
                    reload.run(&reloading);
                    reload
                });
                reload = reloaded.await.expect("a panic ends the process");
                tell_systemd(&[NotifyState::Ready]);
                continue;
            }
        }
        if shared.driver.lock().loading.is_some() && shared.stop.borrow().is_none() {
            // Nothing was promised since the start, so there is nothing to close.
            std::process::exit(0);
        }
        shared.stop.send_replace(Some(Stop::Exit));
    }
}
