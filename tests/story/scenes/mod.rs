//! The scenes, in the order of the story. Each prints what was seen and fails where a promise was not kept.

mod disturbances;
mod first_start;
mod new_release;
mod operations;
mod pod_facts;
mod prefect;
mod variants;

use crate::stage::Stage;
use pilotfish_harness::cluster::Outcome;

type Scene = (&'static str, fn(&Stage) -> Outcome<()>);

/// Every scene begins with both pods ready, and leaves them so.
const SCENES: &[Scene] = &[
    ("new-release", new_release::arrives),
    ("refused", new_release::is_refused),
    ("rollback", new_release::is_rolled_back),
    ("pod-facts", pod_facts::act),
    ("password-rotated", operations::password_rotated),
    ("upgraded-in-place", operations::upgraded_in_place),
    // Before the large dumps: its own would be a table that shrank.
    ("prefect", prefect::publishes),
    ("bucket-away", disturbances::bucket_away),
    ("deleted-mid-load", disturbances::deleted_mid_load),
    ("containers-restarted", disturbances::containers_restarted),
    ("out-of-memory", disturbances::out_of_memory),
    ("shared-volume", variants::shared_volume),
    ("azure", variants::azure),
    ("config-map", variants::config_map),
];

/// Acts the first start, and then each scene whose name holds `only`.
pub(crate) fn act(stage: &Stage, only: Option<&str>) -> Outcome<()> {
    first_start::act(stage)?;
    for (name, act) in SCENES {
        if only.is_none_or(|only| name.contains(only)) {
            stage.say("SCENE", name);
            act(stage).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(())
}
