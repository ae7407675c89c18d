//! A world for tests: variables, files, and answers of services of tokens, by their URLs.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use reqsign_core::{CommandExecute, CommandOutput, Context, Error, FileRead, HttpSend, StaticEnv};

type Answers = HashMap<String, VecDeque<(u16, String)>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct World {
    variables: HashMap<String, String>,
    files: HashMap<String, String>,
    commands: HashMap<String, String>,
    http: Http,
}

#[derive(Debug, Default, Clone)]
struct Http {
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl World {
    /// A variable.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// A file.
    pub(super) fn file(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), text.to_owned());
    }

    /// What a command prints, by all its words.
    pub(super) fn command(&mut self, words: &[&str], prints: &str) {
        self.commands.insert(words.join("|"), prints.to_owned());
    }

    /// What this URL answers next; the last answer stays.
    pub(super) fn answer(&self, url: &str, status: u16, body: &str) {
        self.http.answers.lock().entry(url.to_owned()).or_default().push_back((status, body.to_owned()));
    }

    /// URL and body of each request so far.
    pub(super) fn asked(&self) -> Vec<(String, String)> {
        self.http.asked.lock().clone()
    }

    /// As a search sees it.
    pub(super) fn context(&self) -> Context {
        Context::new()
            .with_env(StaticEnv { home_dir: Some(PathBuf::from("/home")), envs: self.variables.clone() })
            .with_file_read(Files(self.files.clone()))
            .with_command_execute(Commands(self.commands.clone()))
            .with_http_send(self.http.clone())
    }
}

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        let (url, body) = (request.uri().to_string(), String::from_utf8_lossy(request.body()).into_owned());
        self.asked.lock().push((url.clone(), body));
        let mut answers = self.answers.lock();
        // A query that differs each time is left out by the test.
        let short = url.split('?').next().unwrap_or_default();
        let key = if answers.contains_key(&url) { url.as_str() } else { short };
        let Some(answers) = answers.get_mut(key) else {
            return Err(Error::unexpected(format!("nobody listens at {url}")));
        };
        let (status, body) = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
            .expect("one stays");
        Ok(http::Response::builder().status(status).body(Bytes::from(body)).expect("a plain answer"))
    }
}

#[derive(Debug)]
struct Files(HashMap<String, String>);

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let text = self.0.get(path).ok_or_else(|| Error::config_invalid(format!("`{path}` is not there")))?;
        Ok(text.clone().into_bytes())
    }
}

#[derive(Debug)]
struct Commands(HashMap<String, String>);

impl CommandExecute for Commands {
    async fn command_execute<'a>(
        &'a self,
        program: &'a str,
        args: &'a [&'a str],
    ) -> reqsign_core::Result<CommandOutput> {
        let words = [&[program], args].concat().join("|");
        let found = self.0.get(&words);
        let status = if found.is_some() { 0 } else { 1 };
        let stdout = found.cloned().unwrap_or_default().into_bytes();
        Ok(CommandOutput { status, stdout, stderr: Vec::new() })
    }
}
