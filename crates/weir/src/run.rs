//! The process from its start to its end: configuration, store, listener, signals, drain.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{App, Error, Source};
use crate::banner::Banner;
use crate::router::{Service, Side};
use crate::seats::Seats;
use crate::sockets::Sockets;
use crate::{accounts, alerts, call_log, listed, otlp, overload, reload, serve, telemetry};

/// So many connections the operators' own listener answers at the same time.
const OPERATORS: usize = 256;
/// How long the ledger may take to move its last rows to the store.
const FLUSH: Duration = Duration::from_secs(5);
/// The same where the drain time was used up: whoever stopped the process waits. What is left is in the spool.
const FLUSH_AFTER_CUT: Duration = Duration::from_millis(500);

/// How long the last export may take.
const EXPORT: Duration = Duration::from_secs(2);

/// How long answers to operators may still take at the end.
const ANSWERS: Duration = Duration::from_secs(2);

/// Runs the gateway until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting.
pub async fn gateway(source: Source) -> Result<(), Error> {
    let resolved = source.resolve()?;
    let config = resolved.loaded.config.clone();
    telemetry::start(&config.logging);
    for warning in &resolved.loaded.warnings {
        tracing::warn!("{warning}");
    }
    let tls = config.server.tls.as_ref().map(|files| serve::tls(&files.cert, &files.key)).transpose()?;
    // Before the store is opened: a second gateway at the same address must not touch anything.
    let mut sockets = Sockets::passed()?;
    let listener = sockets.at(config.server.listen.0, "--listen or `server.listen`")?;
    let operators = config.server.admin_listen.map(|address| sockets.at(address.0, "`server.admin_listen`"));
    let operators = operators.transpose()?;
    sockets.all_taken()?;
    let mut banner = Banner::new(&resolved, listener.local_addr()?, tls.is_some());
    let app = App::start(source, resolved).await?;
    banner.print();
    tokio::spawn(reload::watch(app.clone()));
    tokio::spawn(accounts::watch(app.clone()));
    tokio::spawn(alerts::watch(app.clone()));
    otlp::start(app.clone());
    let calls = call_log::start(app.clone());
    tokio::spawn(listed::ask_regularly(app.clone()));
    overload::watch(app.clone(), &config.server)?;
    let drain = config.server.drain_timeout.get();
    let seats = Seats::new(overload::max_connections(&config.server));
    let stop = stop(app.clone(), drain)?;
    let side = if operators.is_some() { Side::Clients } else { Side::All };
    // The operators' listener stays till the calls are over: how the drain goes can be seen there.
    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    let operators = operators.map(|listener| {
        let service = Service::new(app.clone(), Side::Operators);
        let until = async move { drop(is_over.await) };
        tokio::spawn(serve::run(listener, tls.clone(), service, Seats::new(OPERATORS), until, ANSWERS))
    });
    let complete = serve::run(listener, tls, Service::new(app.clone(), side), seats, stop, drain).await;
    drop(over);
    if let Some(operators) = operators {
        drop(operators.await);
    }
    if !complete {
        tracing::warn!("calls were still under way when the drain time was over; their rows say so");
    }
    app.otlp.stop(EXPORT).await;
    calls.stop(EXPORT).await;
    app.budgets.stop().await;
    if !app.ledger.flush_and_stop(if complete { FLUSH } else { FLUSH_AFTER_CUT }).await {
        tracing::warn!("some rows are still in the spool; the next start moves them to the store");
    }
    Ok(())
}

/// Done at the first SIGTERM or SIGINT. The second ends the process at once, with 1.
fn stop(app: Arc<App>, drain: Duration) -> Result<impl Future<Output = ()>, Error> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        either(&mut term, &mut int).await;
        app.drain(drain);
        tracing::info!("draining: calls under way finish, no others are taken");
        tokio::spawn(async move {
            either(&mut term, &mut int).await;
            std::process::exit(1);
        });
    })
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
