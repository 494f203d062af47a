//! What every engine's abilities promise, as suites that tests run against real servers.
//!
//! [`probe`] holds [`crate::Probe`] to its word, the other modules hold [`crate::load::Load`] to its
//! own: one module per ability, one function per promise, its name the promise. They know the traits
//! and plain SQL only; what one kind of server spells in its own way comes from a [`Fixture`], so that
//! another engine runs the same suites by bringing another fixture.
//!
//! A suite is a function `run`. It panics at the first promise that is broken, and names it. Every
//! promise has a live database of its own; [`lock`] and [`books`] want a server that nobody has loaded
//! anything into, the others take any.

/// The suite of one ability: `run` walks over its promises in order.
macro_rules! promises {
    ($($promise:ident,)+) => {
        /// Runs the suite.
        ///
        /// # Panics
        /// At the first broken promise.
        pub async fn run(fixture: &std::sync::Arc<dyn $crate::conformance::Fixture>) {
            $(
                let scene = $crate::conformance::scene::Scene::new(fixture, stringify!($promise));
                let outcome = Box::pin($promise(&scene)).await;
                assert!(outcome.is_ok(), concat!(stringify!($promise), ": {:?}"), outcome);
            )+
        }
    };
}

pub mod books;
pub mod check;
pub mod drift;
mod fixture;
pub mod lock;
pub mod objects;
pub mod probe;
pub mod recovery;
pub mod rows;
mod scene;
pub mod stage;
pub mod swap;
pub mod tables;
pub mod way_back;

pub use fixture::{Fixture, Row};
