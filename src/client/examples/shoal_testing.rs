//! A worker tested on the real core, in the process, on time that stands still: an hour of retries takes no time.
//!
//! ```text
//! cargo run -p shoalmq-client --features testing --example shoal_testing
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoalmq_client::testing::TestShoal;
use shoalmq_client::{Add, Ending, Error, Job, JobCx};

#[derive(Debug, Serialize, Deserialize)]
struct Charge {
    order: u32,
}

impl Job for Charge {
    const QUEUE: &'static str = "charges";

    fn options<'a>(&self, add: Add<'a>) -> Add<'a> {
        let ten_minutes = Duration::from_mins(10);
        let add = add.max_deliver(4).backoff(ten_minutes, ten_minutes);
        // How it ended is asked for later than usual.
        add.keep(Duration::from_hours(2))
    }
}

/// The bank answers at the third attempt, and for order 13 never.
async fn charge(charge: Charge, job: JobCx) -> Result<(), String> {
    if charge.order == 13 || job.deliveries() < 3 {
        return Err("the bank sleeps".to_owned());
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let shoal = TestShoal::new().await?;
    let worker = shoal.worker().job(charge);
    let good = shoal.push(&Charge { order: 7 }).await?;
    let bad = shoal.push(&Charge { order: 13 }).await?;
    for attempt in 1..=4 {
        let report = shoal.drain(&worker).await?;
        println!(
            "attempt {attempt}: {} done, {} failed",
            report.counts.done(),
            report.counts.failed()
        );
        // Backoffs are 20 % shorter or longer at random.
        shoal.advance(Duration::from_mins(12));
    }
    assert_eq!(shoal.ending(good)?, Ending::Acked(None));
    let Ending::Dead(letter) = shoal.ending(bad)? else {
        panic!("it is a dead letter")
    };
    assert_eq!(&letter.text[..], b"the bank sleeps");
    println!(
        "order 13 died of {:?} after {} deliveries",
        letter.reason, letter.deliveries
    );
    Ok(())
}
