//! `health`, `config`, `completions`, `man`, `sandbox`, `demo`.

use serde_json::{Value, json};

use super::super::args::pages;
use super::super::args::tools::{CompletionsArgs, DemoArgs, ManArgs, SandboxArgs};
use super::super::config::Purpose;
use super::{Done, Run, connect};
use crate::commands;
use crate::engine::Stop;
use crate::error::{Error, IoContext, Kind, Result};
use crate::event::{Event, Reporter};
use crate::sandbox::{Sandbox, Settings};

pub(super) async fn health(run: &Run) -> Result<Done> {
    let connected = run.connect(Purpose::Read)?;
    let session = run.looking_session()?;
    let plan = commands::health(&session, &connected.connection).await?;
    let plan = run.screen.with_origin(&plan);
    run.print_fields(&plan.fields)?;
    Ok(Done::default())
}

pub(super) fn show_config(run: &Run) -> Result<Done> {
    let rows = connect::show(&run.invocation, &run.environment)?;
    let rows = rows
        .into_iter()
        .map(|row| row.into_iter().map(Value::from).collect())
        .collect();
    run.print_rows(&["setting", "value", "from"], rows)?;
    Ok(Done::default())
}

pub(super) fn completions(run: &Run, args: &CompletionsArgs) -> Result<Done> {
    let script = String::from_utf8_lossy(&pages::completions(args.shell)).into_owned();
    let script = script.trim_end();
    run.screen
        .data(|| script.to_owned(), json!({"script": script}))?;
    Ok(Done::default())
}

pub(super) fn manual(run: &Run, args: &ManArgs) -> Result<Done> {
    if let Some(folder) = &args.output_dir {
        let count = pages::write_manuals(folder)?;
        run.screen.event(&Event::Note(&format!(
            "{count} manual pages are in `{}`",
            folder.display()
        )));
        return Ok(Done::default());
    }
    let page = String::from_utf8_lossy(&pages::manual(&args.command)?).into_owned();
    let page = page.trim_end();
    run.screen.data(|| page.to_owned(), json!({"page": page}))?;
    Ok(Done::default())
}

/// Serves until a signal comes.
pub(super) async fn sandbox(run: &Run, args: &SandboxArgs) -> Result<Done> {
    let stop = Stop::new(std::time::Duration::ZERO);
    run.hear_signals(&stop)?;
    let grpc_port = args.grpc_port.unwrap_or(match args.port {
        0 => 0,
        _ => 50051,
    });
    let settings = Settings {
        port: args.port,
        grpc_port,
        ..Settings::default()
    };
    let sandbox = Sandbox::start(settings)
        .await
        .doing(|| format!("cannot listen on ports {} and {grpc_port}", args.port))?;
    if args.objects > 0 {
        sandbox.store().fill("Article", args.objects, args.dims, 1);
    }
    let (url, grpc_url) = (sandbox.url(), sandbox.grpc_url());
    run.screen.data(
        || format!("{url}\n{grpc_url} (gRPC)"),
        json!({"url": url, "grpc_url": grpc_url}),
    )?;
    stop.asked().await;
    sandbox.stop().await;
    Ok(Done::default())
}

pub(super) async fn demo(run: &Run, args: &DemoArgs) -> Result<Done> {
    if args.objects < 10_000 {
        return Err(Error::new(
            Kind::Usage,
            "the demonstration needs at least 10,000 objects, so that there is something to interrupt",
        ));
    }
    let (folder, is_kept) = match &args.keep {
        Some(folder) => (folder.clone(), true),
        None => (
            std::env::temp_dir().join(format!("elysiactl-demo-{}", std::process::id())),
            false,
        ),
    };
    std::fs::create_dir_all(&folder).doing(|| format!("cannot create `{}`", folder.display()))?;
    let say = |line: &str| {
        // A reader that went away has seen enough.
        let _ = run.screen.data(|| line.to_owned(), json!({"line": line}));
    };
    let outcome = commands::demo(args.objects, &folder, &say).await;
    if !is_kept {
        std::fs::remove_dir_all(&folder)
            .doing(|| format!("cannot remove `{}`", folder.display()))?;
    }
    outcome.map(|()| Done::default())
}
