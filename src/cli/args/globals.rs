//! Flags of every command: how to reach the server, and how to tell the story.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use secrecy::SecretString;

use super::values::{self, Timeouts};
use crate::cli::output::ColorChoice;
use crate::cli::progress::LogFormat;
use crate::cli::screen::Settings;

/// How the story of a run is told.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print JSON lines on standard output, the last one a summary with the exit code
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing if the exit code is 0
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; twice: every batch
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub color: When,
    /// Append a log to this file
    #[arg(long, global = true, value_name = "PATH")]
    pub log_file: Option<PathBuf>,
    /// The shape of the log's lines
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogShape::Text)]
    pub log_format: LogShape,
    /// Never ask; every question is answered with no
    #[arg(long, global = true)]
    pub no_input: bool,
}

impl OutputArgs {
    /// The same for the screen; `prints_plan` is true for a dry run.
    pub fn settings(&self, prints_plan: bool) -> Settings {
        Settings {
            json: self.json,
            quiet: self.quiet,
            verbosity: self.verbose,
            color: self.color.into(),
            log_file: self.log_file.clone(),
            log_format: self.log_format.into(),
            prints_plan,
        }
    }
}

/// When colours are used.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl From<When> for ColorChoice {
    fn from(when: When) -> Self {
        match when {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        }
    }
}

/// The shape of the log's lines.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogShape {
    /// Time, level, message, fields
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

impl From<LogShape> for LogFormat {
    fn from(shape: LogShape) -> Self {
        match shape {
            LogShape::Text => LogFormat::Text,
            LogShape::Json => LogFormat::Json,
        }
    }
}

/// Which protocol moves the objects.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// gRPC where it can be reached, else REST
    #[default]
    Auto,
    /// gRPC or nothing
    Grpc,
    /// REST alone
    Rest,
}

/// A header as typed, `NAME=VALUE` or `NAME=@FILE`; kept as a secret, for nothing may show it.
#[derive(Clone, Debug)]
pub struct HeaderArg(pub SecretString);

impl HeaderArg {
    // Looked at later, where a mistake can be told without the value.
    fn typed(text: &str) -> Result<Self, Infallible> {
        Ok(HeaderArg(SecretString::from(text)))
    }
}

/// How the server is reached; `None` leaves it to the environment, the profile or the default.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Address of Weaviate [default: http://localhost:8080]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Address of its gRPC [default: from the URL, port 50051]
    #[arg(long, global = true, value_name = "URL")]
    pub grpc_url: Option<String>,
    /// Read the API key from this file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "token_file"
    )]
    pub api_key_file: Option<PathBuf>,
    /// Read a bearer token (OIDC) from this file
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Send a header; `@` reads the value from a file; repeatable
    #[arg(long = "header", global = true, value_name = "NAME=@FILE", value_parser = HeaderArg::typed)]
    pub headers: Vec<HeaderArg>,
    /// Take settings from this profile of config.toml [default: `default`, if there is one]
    #[arg(short = 'P', long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Trust this certificate authority too (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// Show this certificate to the server (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// The private key of the client certificate (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Do not check the server's certificate; warned about on every run
    #[arg(long, global = true)]
    pub insecure_skip_verify: bool,
    /// Give up on a silent server: `60s`, or connect=10s,read=30s,write=90s (the defaults)
    #[arg(long, global = true, value_name = "TIME", value_parser = values::timeouts)]
    pub timeout: Option<Timeouts>,
    /// Which protocol moves the objects
    #[arg(long, global = true, value_enum, value_name = "PROTOCOL", default_value_t = Transport::Auto)]
    pub transport: Transport,
    /// Keep job journals here [default: $XDG_STATE_HOME/elysiactl, else ~/.local/state/elysiactl]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}
