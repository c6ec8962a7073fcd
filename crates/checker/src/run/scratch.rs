//! Topics that come and go meanwhile, so that the broker has space to use
//! again.

use std::time::Duration;

use anyhow::Result;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Run, topics};
use crate::chance::Chance;
use crate::history::Process;

const FILLED_WITHIN: Duration = Duration::from_secs(5);
const LEFT_MOST: usize = 4;

/// What goes wrong meanwhile is a fault's doing, and noted.
pub(super) fn make_and_delete(run: &Run, mut chance: Chance) -> Result<()> {
    let process = run.recorder.process();
    let mut left = Vec::new();
    let mut number = 0_u32;
    while !run.is_over() {
        let name = format!("checker-{}-scratch-{number}", run.options.seed);
        number += 1;
        left.push(name.clone());
        succeeds(run, process, fill(run, &name, &mut chance));
        left.retain(|name| !succeeds(run, process, topics::delete(&run.client(), name)));
        // One that was never made cannot be deleted either.
        left.truncate(LEFT_MOST);
    }
    Ok(())
}

fn succeeds(run: &Run, process: Process, done: Result<()>) -> bool {
    if let Err(error) = &done {
        run.recorder.note(process, &format!("{error:#}"));
    }
    done.is_ok()
}

fn fill(run: &Run, name: &str, chance: &mut Chance) -> Result<()> {
    topics::create(&run.client(), name, 2)?;
    let mut config = run.client();
    config.set("message.timeout.ms", "5000");
    let producer: BaseProducer = config.create()?;
    let bytes = vec![7; usize::try_from(10_000 + chance.below(20_000))?];
    for _ in 0..20 + chance.below(60) {
        // A queue that is full is enough.
        if producer
            .send(BaseRecord::<(), [u8]>::to(name).payload(&bytes))
            .is_err()
        {
            break;
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(FILLED_WITHIN)?;
    Ok(())
}
