//! Replication under one set of names, whatever the engine.

use crate::metric::{Gathered, Labels};

/// A stream of changes that a server follows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Channel {
    /// Empty where the engine has one only.
    pub(super) name: String,
    /// `host:port`, as the server was told.
    pub(super) source: String,
    /// None where nothing is to be received: the archive feeds a standby.
    pub(super) receiver: Option<Side>,
    pub(super) applier: Side,
    /// How late it is, in seconds, or at least is; `None` where nobody can know.
    pub(super) lag: Option<f64>,
}

/// What brings changes, or what applies them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Side {
    pub(super) running: bool,
    /// The server's number of what stopped it; 0 for nothing.
    pub(super) error_code: f64,
}

/// All channels of a server; without one it is no replica.
pub(super) fn gather(channels: &[Channel], into: &mut Gathered) {
    let configured = f64::from(u8::from(!channels.is_empty()));
    let mut gauge = |name, help, labels, value| {
        into.gauge(format!("pilotfish_replication_{name}"), help, labels, value);
    };
    gauge(
        "configured",
        "1 where the server follows another, running or not.",
        Labels::none(),
        configured,
    );
    for channel in channels {
        let labels =
            Labels::of("channel", channel.name.as_str()).with("source", channel.source.as_str());
        let sides = [
            (channel.receiver, "receiver"),
            (Some(channel.applier), "applier"),
        ];
        for (side, name) in sides {
            let Some(side) = side else { continue };
            let labels = labels.clone().with("side", name);
            let running = f64::from(u8::from(side.running));
            gauge(
                "running",
                "1 where changes are received, or applied.",
                labels.clone(),
                running,
            );
            gauge(
                "error_code",
                "The server's number of the error that stopped it; 0 for none.",
                labels,
                side.error_code,
            );
        }
        if let Some(lag) = channel.lag {
            let help = "How far it is behind, at least: it grows while a channel is broken.";
            gauge("lag_seconds", help, labels, lag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Format;

    #[test]
    fn a_server_that_follows_nobody_says_so() {
        let mut gathered = Gathered::default();
        gather(&[], &mut gathered);
        let text = Format::shown(&gathered);
        assert!(
            text.ends_with("pilotfish_replication_configured 0\n"),
            "{text}"
        );
    }

    #[test]
    fn a_broken_channel_has_all_of_its_series() {
        let broken = Channel {
            name: "a".to_owned(),
            source: "db:3306".to_owned(),
            receiver: Some(Side::default()),
            applier: Side {
                running: false,
                error_code: 1062.0,
            },
            lag: Some(12.0),
        };
        let mut gathered = Gathered::default();
        gather(&[broken], &mut gathered);
        let text = Format::shown(&gathered);
        for line in [
            "configured 1",
            "running{channel=\"a\",source=\"db:3306\",side=\"receiver\"} 0",
            "error_code{channel=\"a\",source=\"db:3306\",side=\"applier\"} 1062",
            "lag_seconds{channel=\"a\",source=\"db:3306\"} 12",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
