//! `edgeward demo`: the platform does its job on real components, stage by stage.
//!
//! One cloud and three factories run as processes of this very program, each factory in a network namespace of its own.
//! What a stage says about itself it has seen through the interfaces people use: kubectl, REST, the telemetry store.

mod alarms;
mod cluster;
mod data;
mod devices;
mod images;
mod kubectl;
mod net;
mod outage;
mod process;
mod rest;
mod stage;
mod stages;
mod world;

use std::process::ExitCode;

use edgeward_service::Tasks;

use crate::cli::DemoOptions;
use crate::output;
use stage::Story;
use world::World;

pub(crate) async fn run(options: DemoOptions, tasks: Tasks) -> anyhow::Result<ExitCode> {
    output::line("edgeward demo: a cloud, three factories, and a link that is cut\n");
    let mut story = Story::new();
    let mut world = World::prepare(&options)?;
    for (what, why) in world.left_out() {
        story.left_out(what, why);
    }
    let held = tokio::select! {
        held = stages::tell(&mut story, &mut world) => Some(held),
        () = tasks.cancelled() => None,
    };
    let all_held = match held {
        Some(_) => story.summary(),
        None => false,
    };
    if held.is_some() && !options.once {
        world.show_around();
        tasks.cancelled().await;
    }
    output::line("\nstopping; nothing of the demo is left behind");
    world.tear_down();
    Ok(if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
