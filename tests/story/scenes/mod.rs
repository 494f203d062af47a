//! The scenes, in the order of the story. Each prints what was seen and fails where a promise was not kept.

mod disturbances;
mod exporter;
mod first_start;
mod new_release;
mod operations;
mod pod_facts;
mod prefect;
mod variants;

use crate::stage::Stage;
use pilotfish_harness::cluster::Outcome;

/// A scene of the story.
struct Scene {
    name: &'static str,
    act: fn(&Stage) -> Outcome<()>,
    /// Left out by `--short`.
    long: bool,
}

const fn short(name: &'static str, act: fn(&Stage) -> Outcome<()>) -> Scene {
    let long = false;
    Scene { name, act, long }
}

const fn long(name: &'static str, act: fn(&Stage) -> Outcome<()>) -> Scene {
    let long = true;
    Scene { name, act, long }
}

/// Every scene begins with both pods ready, and leaves them so.
const SCENES: &[Scene] = &[
    short("new-release", new_release::arrives),
    short("refused", new_release::is_refused),
    short("rollback", new_release::is_rolled_back),
    short("pod-facts", pod_facts::act),
    short("password-rotated", operations::password_rotated),
    short("upgraded-in-place", operations::upgraded_in_place),
    // Before the large dumps: its own would be a table that shrank.
    long("prefect", prefect::publishes),
    short("bucket-away", disturbances::bucket_away),
    short("deleted-mid-load", disturbances::deleted_mid_load),
    long("containers-restarted", disturbances::containers_restarted),
    long("out-of-memory", disturbances::out_of_memory),
    long("exporter", exporter::act),
    long("shared-volume", variants::shared_volume),
    long("azure", variants::azure),
    long("config-map", variants::config_map),
    long("key-missing", variants::key_missing),
    long("key-refused", variants::key_refused),
];

/// Acts the first start, and then each scene whose name holds `only`; with `in_short` the long ones not.
pub(crate) fn act(stage: &Stage, only: Option<&str>, in_short: bool) -> Outcome<()> {
    let wanted = |scene: &&Scene| {
        let named = only.is_none_or(|only| scene.name.contains(only));
        named && !(in_short && scene.long)
    };
    let scenes: Vec<&Scene> = SCENES.iter().filter(wanted).collect();
    if scenes.is_empty() {
        let all: Vec<_> = SCENES.iter().map(|scene| scene.name).collect();
        return Err(format!("no scene is left; all are: {}", all.join(", ")));
    }
    first_start::act(stage)?;
    for scene in scenes {
        stage.say("SCENE", scene.name);
        (scene.act)(stage).map_err(|why| format!("{}: {why}", scene.name))?;
    }
    Ok(())
}
