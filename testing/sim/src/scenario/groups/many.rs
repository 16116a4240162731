//! A conversation with very many devices, most of which are never there.

use std::time::Duration;

use anyhow::{Context, Result};
use baraza_core::Command;
use baraza_core::command::Pending;

use super::person::Asked;
use super::{FIFTY, Plan, Size, Stage};
use crate::report::Report;

/// Devices in the conversation.
const DEVICES: usize = 300;
/// Those that are there.
const THERE: usize = 12;
/// Messages written.
const MESSAGES: usize = 12;

pub(in crate::scenario) fn run(seed: u64, _: Size) -> Report {
    let mut report = Report::default();
    if let Err(error) = play(seed, &mut report) {
        report.check(false, || format!("stopped: {error:#}"));
    }
    report
}

fn play(seed: u64, report: &mut Report) -> Result<()> {
    let plan = Plan {
        members: DEVICES,
        reserve: 0,
        seconds: 0,
        away: DEVICES - THERE,
        ..FIFTY
    };
    let mut stage = Stage::new(plan, seed)?;
    // They have to find each other among all the others.
    stage.pass(Duration::from_secs(150))?;
    for number in 0..MESSAGES {
        stage.write(number % THERE);
        stage.pass(Duration::from_secs(2))?;
    }
    stage.pass(Duration::from_secs(20))?;
    stage.histories()?;
    for difference in stage.differences() {
        report.check(false, || difference);
    }
    let links = stage.links();
    report.note(format!(
        "{DEVICES} devices, {THERE} of them there: {links:.1} links of each on average, {MESSAGES} messages reached all"
    ));
    report.check(links > 1.0 && links < THERE as f64, || {
        format!("{links:.1} links to {THERE} devices")
    });
    let (message, _) = stage.people[0]
        .confirmed
        .last()
        .context("nothing was sent")?;
    let command = Command::DeliveryStatus {
        conversation: stage.group.id,
        message: Some(*message),
    };
    stage.ask(0, Asked::Delivery, command);
    let delivery = &stage.people[0].delivery;
    report.check(delivery.len() == DEVICES - 1, || {
        format!("{} devices are told about", delivery.len())
    });
    let there = stage.people.iter().take(THERE);
    let there: Vec<_> = there.map(|p| p.keys.identity.device_id()).collect();
    for device in delivery {
        let is_there = device.device.is_some_and(|id| there.contains(&id));
        // Of the others it is said why not: that nobody has seen them.
        let away = matches!(
            device.pending,
            Some(Pending::NotFound | Pending::ToldByOthers)
        );
        report.check(is_there || (!device.delivered && away), || {
            format!("of a device that is not there: {device:?}")
        });
    }
    Ok(())
}
