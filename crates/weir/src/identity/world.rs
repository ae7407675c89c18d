//! What a search for credentials sees of the world.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqsign_core::{CommandExecute, CommandOutput, Context, Env, Error, FileRead, HttpSend};
use serde::de::DeserializeOwned;
use weir_config::Environment;
use weir_wire::percent;

/// How long a service of tokens may take to be reached, and to answer.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
/// The longest answer of one, and the longest file.
const MOST: usize = 1 << 20;
/// Hosts that only this machine reaches: no proxy does.
const NEAR: &str = "169.254.0.0/16,fd00:ec2::254,127.0.0.0/8,::1,localhost,metadata.google.internal";

/// Files, commands and HTTP as they are, and these variables.
pub(super) fn of_the_process(
    environment: Arc<Environment>,
    proxy: Option<&str>,
) -> Result<Context, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Some(proxy) = proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy)?.no_proxy(reqwest::NoProxy::from_string(NEAR)));
    }
    Ok(Context::new()
        .with_env(Variables(environment))
        .with_file_read(Files)
        .with_command_execute(Commands)
        .with_http_send(Http(builder.build()?)))
}

/// A variable that is set to something.
pub(super) fn variable(world: &Context, name: &str) -> Option<String> {
    world.env_var(name).filter(|value| !value.is_empty())
}

/// Asks a service of tokens for JSON; else says why it gave none.
pub(super) async fn ask<T: DeserializeOwned>(
    world: &Context,
    request: http::Request<Bytes>,
) -> Result<T, String> {
    let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
    let answer = world.http_send(request).await.map_err(|error| told(&error))?;
    let (status, body) = (answer.status(), answer.body());
    if !status.is_success() {
        return Err(format!("{host} answered {}{}", status.as_u16(), reason(body)));
    }
    serde_json::from_slice(body).map_err(|_| format!("{host} answered with something else than a token"))
}

/// A form, posted.
pub(super) fn form(url: &str, members: &[(&str, &str)]) -> Result<http::Request<Bytes>, String> {
    let encoded: Vec<String> =
        members.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    http::Request::post(url)
        .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(encoded.join("&")))
        .map_err(|_| format!("`{url}` is no URL"))
}

/// Text as it stands in a form or a query.
pub(super) fn escaped(text: &str) -> String {
    percent::encoded(text, percent::UNRESERVED)
}

/// An error with its causes, in one line.
pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What OAuth's errors say for people: `error` and the first line of `error_description`.
fn reason(body: &[u8]) -> String {
    let told: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let words = [&told["error"], &told["error_description"], &told["message"]];
    let words = words.iter().filter_map(|word| word.as_str()?.lines().next());
    words.fold(String::new(), |text, word| text + ": " + word)
}

#[derive(Debug)]
struct Variables(Arc<Environment>);

impl Env for Variables {
    fn var(&self, key: &str) -> Option<String> {
        self.0.get(key).map(str::to_owned)
    }

    fn vars(&self) -> HashMap<String, String> {
        let all = self.0.names().filter_map(|name| Some((name.to_owned(), self.0.get(name)?.to_owned())));
        all.collect()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.0.get_filled("HOME").map(PathBuf::from)
    }
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let unread = |why: String| Error::config_invalid(format!("`{path}` can't be read: {why}"));
        let bytes = tokio::fs::read(path).await.map_err(|error| unread(error.kind().to_string()))?;
        if bytes.len() > MOST {
            return Err(unread("it is too long".to_owned()));
        }
        Ok(bytes)
    }
}

#[derive(Debug)]
struct Commands;

impl CommandExecute for Commands {
    async fn command_execute<'a>(
        &'a self,
        program: &'a str,
        args: &'a [&'a str],
    ) -> reqsign_core::Result<CommandOutput> {
        let mut command = tokio::process::Command::new(program);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await;
        let output = output
            .map_err(|error| Error::config_invalid(format!("`{program}` can't be run: {}", error.kind())))?;
        Ok(CommandOutput {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

#[derive(Debug)]
struct Http(reqwest::Client);

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            Error::unexpected(format!("{host} can't be asked: {}", told(&error)))
        };
        let request = reqwest::Request::try_from(request).map_err(&failed)?;
        let mut answer = self.0.execute(request).await.map_err(&failed)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(&failed)? {
            if body.len() + chunk.len() > MOST {
                return Err(Error::unexpected(format!("{host} sent a too long answer")));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = http::Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}
