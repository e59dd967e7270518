//! Takes messages one by one: each is acknowledged, tried again, sent on, or buried; one that is dropped is given back.
//!
//! ```text
//! cargo run -p shoalmq-client --example shoal_guard 127.0.0.1:7711
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoalmq_client::{Error, Shoal};

#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    number: u32,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1);
    let shoal = Shoal::connect([address.unwrap_or_else(|| "127.0.0.1:7711".to_owned())]).await?;
    let producer = shoal.producer("parcels");
    for number in 0..5 {
        producer.push(&Parcel { number }).await?;
    }
    let mut parcels = shoal.consumer::<Parcel>("parcels");
    let mut left = 6;
    while left > 0 {
        let Some(parcel) = parcels.next().await else {
            break;
        };
        let parcel = parcel?;
        left -= 1;
        let (number, earlier) = (parcel.number, parcel.earlier_deliveries());
        let what = match (number, earlier) {
            (1, 0) => {
                // As in a worker that panics.
                drop(parcel);
                "given back"
            }
            (2, _) => {
                parcel.retry_in(Duration::from_mins(1)).await?;
                "to be tried again in a minute"
            }
            (3, _) => {
                parcel.push("parcels-abroad").await?;
                "sent on"
            }
            (4, _) => {
                parcel.reject("the address is unreadable").await?;
                "buried"
            }
            _ => {
                parcel.ack().await?;
                "acknowledged"
            }
        };
        println!("parcel {number}, delivery {}: {what}", earlier + 1);
    }
    println!("dead letters: {}", shoal.len("parcels.dead").await?);
    Ok(())
}
