//! Logging on stderr. Only rotator's own logs may be verbose: detailed logs of the SDK and its HTTP client can
//! contain bodies, which contain secrets.

use std::borrow::Cow;
use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::args::{Global, LogFormat};
use super::error::CliError;
use super::help::folded;
use super::host_env::HostEnv;
use super::output::printable::{printable, printable_json};
use super::output::progress;
use crate::engine::options::REFUSALS;

/// The only log target whose level can be set.
const OURS: &str = "rotator";

/// Starts logging. `width`: where an operator reads along at a terminal, its columns.
///
/// # Errors
/// [`CliError::usage`] if `ROTATOR_LOG` is not a valid filter. A `RUST_LOG` that is not valid is ignored, since it
/// may be meant for another program.
pub fn start(global: &Global, host: &HostEnv, color: bool, width: Option<usize>) -> Result<(), CliError> {
    let chosen = match host.variable("ROTATOR_LOG") {
        Some(text) => Some(text.parse::<Targets>().map_err(|error| {
            CliError::usage(
                format!("ROTATOR_LOG is not a valid filter: {error}"),
                "write for example ROTATOR_LOG=debug",
            )
        })?),
        None => host.variable("RUST_LOG").and_then(|text| text.parse().ok()),
    };
    let filter = filter(global, chosen);
    // A closed stderr must not end a rotation: failed writes are ignored and do not panic.
    let escape: Escape = match (global.log_format, color) {
        (LogFormat::Json, _) => printable_json,
        (LogFormat::Text, false) => printable,
        // The colours are control characters, too; the layer itself escapes those in logged text.
        (LogFormat::Text, true) => |text| text.into(),
    };
    let is_json = matches!(global.log_format, LogFormat::Json);
    let width = width.filter(|_| !is_json);
    let layer = fmt::layer().with_writer(move || Quiet(io::stderr(), escape, width)).with_ansi(color);
    let layer = layer.log_internal_errors(false);
    let layer = match global.log_format {
        LogFormat::Text if width.is_some() => layer.without_time().with_target(false).boxed(),
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().boxed(),
    };
    // An error means that a test has installed a logger already.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    Ok(())
}

fn filter(global: &Global, chosen: Option<Targets>) -> Targets {
    let ours = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, 3..) => LevelFilter::TRACE,
    };
    let mut filter = Targets::new().with_default(LevelFilter::ERROR).with_target(OURS, ours);
    // The store reports the failures of this client.
    filter = filter.with_target("kube_client", LevelFilter::OFF);
    if chosen.is_none() && global.verbose == 0 && matches!(global.log_format, LogFormat::Text) {
        // An operator reads the result, which says the same.
        filter = filter.with_target(REFUSALS, LevelFilter::ERROR);
    }
    if let Some(chosen) = chosen {
        if let Some(level) = chosen.default_level() {
            filter = filter.with_target(OURS, level);
        }
        let of_ours = |target: &str| target == OURS || target.starts_with("rotator::");
        filter = filter.with_targets(chosen.into_iter().filter(|(target, _)| of_ours(target)));
    }
    filter
}

type Escape = fn(&str) -> Cow<'_, str>;

/// Writes to stderr and ignores failures; control characters are escaped, and long lines are folded.
struct Quiet(io::Stderr, Escape, Option<usize>);

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::hide();
        let text = String::from_utf8_lossy(bytes);
        let _ = self.0.write_all(shown(&(self.1)(&text), self.2).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// The text in lines of this width.
fn shown(text: &str, width: Option<usize>) -> Cow<'_, str> {
    if width.is_none() {
        return text.into();
    }
    text.lines().map(|line| folded(line.trim_start(), width) + "\n").collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use tracing::Level;

    fn global(args: &[&str]) -> Global {
        let args = [&["rotator", "status"], args].concat();
        super::super::args::Cli::try_parse_from(args).expect("valid").global
    }

    #[test]
    fn only_our_own_logs_can_be_verbose() {
        let chosen: Targets = "trace,aws_smithy_runtime=trace,hyper=debug,rotator::engine=info".parse().expect("valid");
        let filter = filter(&global(&["-vv"]), Some(chosen));
        for target in ["aws_smithy_runtime::client", "hyper::proto", "aws_config", "rustls"] {
            assert!(!filter.would_enable(target, &Level::WARN), "{target}");
        }
        assert!(!filter.would_enable("kube_client::client", &Level::ERROR));
        assert!(filter.would_enable("rotator::cli", &Level::TRACE));
        assert!(!filter.would_enable("rotator::engine::executor", &Level::DEBUG));
    }

    #[test]
    fn a_log_line_is_folded_for_an_operator_at_a_terminal() {
        let line = " WARN call DeleteAccessKey for key AKIAIOSFODNN7EXAMPLE of user shop-production: refused\n";
        assert_eq!(shown(line, None), line);
        let folded = shown(line, Some(40));
        assert!(folded.lines().all(|line| line.len() <= 40) && folded.lines().count() == 3, "{folded}");
        assert!(folded.starts_with("WARN call") && folded.ends_with("refused\n"), "{folded}");
    }

    #[test]
    fn a_refusal_that_the_result_repeats_is_for_those_who_read_the_log() {
        let enabled = |args: &[&str], chosen: Option<&str>| {
            let chosen = chosen.map(|chosen| chosen.parse().expect("valid"));
            filter(&global(args), chosen).would_enable(REFUSALS, &Level::WARN)
        };
        assert!(!enabled(&[], None));
        assert!(enabled(&["-v"], None) && enabled(&["--log-format", "json"], None));
        assert!(enabled(&[], Some("rotator=warn")), "a filter that was asked for counts");
    }

    #[test]
    fn v_says_how_much() {
        let enabled = |args: &[&str], level| filter(&global(args), None).would_enable("rotator::engine", &level);
        assert!(enabled(&[], Level::WARN) && !enabled(&[], Level::INFO));
        assert!(enabled(&["-v"], Level::INFO) && !enabled(&["-v"], Level::DEBUG));
        assert!(enabled(&["-q"], Level::ERROR) && !enabled(&["-q"], Level::WARN));
    }
}
