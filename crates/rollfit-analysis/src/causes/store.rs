//! Causes in source and store: reading, small questions, bytes, commits. Each by what workers wait for it, over and above
//! the processor time of a store on this machine, which counts with the cores.

use super::super::case::Case;
use super::super::evidence::Evidence;
use super::super::report::Cause;
use super::super::words::{bytes, duration, number, percent};
use super::super::work::Place;
use super::advice::Change;
use super::{Advice, Found};

pub(super) fn found(evidence: &Evidence<'_>) -> Vec<Found> {
    vec![reading(evidence), latency(evidence), bandwidth(evidence), commit(evidence)]
}

fn reading(evidence: &Evidence<'_>) -> Found {
    let waited_s = evidence.demand.reading_s;
    let advice = Advice::outside(
        "Make reading the source faster: nearer to this machine, on a faster disk, or with an index on the time column",
        format!("a partition waits {} for its source", duration(waited_s)),
        "a partition hardly waits for its source".to_owned(),
        removing(Place::Reading),
    )
    .watching(format!("the share of reading in the workers' time: now {}", percent(share(evidence, waited_s))));
    shared(evidence, Cause::SourceRead, "reading the source", Place::Reading, waited_s, advice)
}

fn latency(evidence: &Evidence<'_>) -> Found {
    let asking_s = evidence.asked_s();
    let gone = move |case: &Case, left: f64| {
        case.with_work(|work| work.asking_s = (work.asking_s - (1.0 - left) * asking_s).max(0.0))
    };
    let advice = Advice::outside(
        "Bring this process and the store closer together: same network, no pooler or proxy in between",
        format!("a partition waits {} for small answers", duration(asking_s)),
        "a partition hardly waits for small answers".to_owned(),
        Box::new(gone),
    )
    .watching(format!(
        "the share of asking in the workers' time: now {}",
        percent(share(evidence, asking_s))
    ));
    Found {
        cause: Cause::StoreLatency,
        title: "small questions to the store take long".to_owned(),
        impact: share(evidence, asking_s),
        evidence: vec![waits(evidence, "for answers to small questions and new sessions", asking_s)],
        setting: None,
        advice: Some(advice),
    }
}

fn bandwidth(evidence: &Evidence<'_>) -> Found {
    let waited_s = evidence.demand.sending_s;
    let wrote = evidence.demand.bytes * evidence.demand.partitions as f64 / evidence.took_s;
    let advice = Advice::outside(
        "Give the store more bandwidth: faster disks or network, a larger instance, or store less (fewer metrics, narrower numbers, compression)",
        format!("the store takes {} a second", bytes(wrote)),
        "the store takes bytes as fast as they come".to_owned(),
        removing(Place::Sending),
    )
    .watching(format!("the share of sending in the workers' time: now {}", percent(share(evidence, waited_s))));
    let mut found = shared(
        evidence,
        Cause::StoreBandwidth,
        "the store takes no more bytes",
        Place::Sending,
        waited_s,
        advice,
    );
    found.evidence.push(format!("{} a second were written", bytes(wrote)));
    found
}

fn commit(evidence: &Evidence<'_>) -> Found {
    let waited_s = evidence.demand.committing_s;
    let advice = Advice::outside(
        "Make commits faster: the store's log or directory on a disk that syncs faster, or, in PostgreSQL, \
         synchronous_commit = off for the role, after which a crash of the server may lose the last partitions, receipts included",
        format!("a partition waits {} to be made durable", duration(waited_s)),
        "a partition hardly waits to be made durable".to_owned(),
        removing(Place::Committing),
    )
    .risks("with synchronous_commit = off a crash of the server loses the last partitions whole, the next run writes them again")
    .watching(format!("the share of committing in the workers' time: now {}", percent(share(evidence, waited_s))));
    shared(evidence, Cause::Commit, "making durable takes long", Place::Committing, waited_s, advice)
}

fn shared(
    evidence: &Evidence<'_>,
    cause: Cause,
    title: &str,
    place: Place,
    waited_s: f64,
    advice: Advice,
) -> Found {
    let what = match place {
        Place::Reading => "for its source",
        Place::Sending => "for the store to take its bytes",
        Place::Committing => "to be made durable",
    };
    let known = evidence.case.likeliest().map(|work| work.at(place));
    let servers = known.filter(|known| known.servers.is_finite() && evidence.levels.len() > 1).map(|known| {
        format!(
            "the more workers, the longer that takes: about {} at once get on as fast as one alone, in {} each",
            number(known.servers),
            duration(known.demand_s)
        )
    });
    Found {
        cause,
        title: title.to_owned(),
        impact: share(evidence, waited_s),
        evidence: std::iter::once(waits(evidence, what, waited_s))
            .chain(servers)
            .chain(evidence.store_waits())
            .collect(),
        setting: None,
        advice: Some(advice),
    }
}

fn removing(place: Place) -> Change {
    Box::new(move |case, left| case.with_work(|work| work.at_mut(place).demand_s *= left))
}

fn share(evidence: &Evidence<'_>, waited_s: f64) -> f64 {
    waited_s / evidence.demand.wall_s
}

fn waits(evidence: &Evidence<'_>, what: &str, waited_s: f64) -> String {
    format!(
        "a partition waits {} {what}, {} of the {} that it takes",
        duration(waited_s),
        percent(share(evidence, waited_s)),
        duration(evidence.demand.wall_s)
    )
}
