//! `portolan chat`: a conversation in the terminal, streamed.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::client::{Client, Error, Result};
use super::output::{as_json, list, print, text};
use crate::net::{self, Splitter};

/// Talk to a model.
#[derive(Args, Debug)]
pub struct Chat {
    /// The model [default: the first model under `models:`, else portolan/echo]
    #[arg(short, long)]
    model: Option<String>,
    /// Context sources to join in, separated by commas
    #[arg(long, value_name = "NAMES")]
    context: Option<String>,
    /// Servers or tools the gateway may run, separated by commas
    #[arg(long, value_name = "NAMES")]
    tools: Option<String>,
    /// One message; without it, a conversation line by line
    text: Vec<String>,
}

pub(super) async fn run(client: &Client, chat: Chat) -> Result {
    let model = match &chat.model {
        Some(model) => model.clone(),
        None => {
            let model = default_model(client).await?;
            if !client.json {
                eprintln!("No model is named, so `{model}` answers; choose with -m.");
            }
            model
        }
    };
    let mut messages = Vec::new();
    if !chat.text.is_empty() {
        messages.push(json!({ "role": "user", "content": chat.text.join(" ") }));
        turn(client, &chat, &model, &messages).await?;
        return Ok(());
    }
    let terminal = std::io::stdin().is_terminal();
    let mut interrupts = None;
    if terminal {
        eprintln!("Talking to {model}. Ctrl-C stops an answer, Ctrl-D ends.");
        interrupts = Some(Interrupts::new());
    }
    loop {
        if terminal {
            print("> ");
        }
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map_err(|error| Error::failed(error.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            continue;
        }
        messages.push(json!({ "role": "user", "content": line.trim() }));
        let answering = turn(client, &chat, &model, &messages);
        let answer = match &interrupts {
            None => Some(answering.await?),
            Some(interrupts) => tokio::select! {
                answer = answering => Some(answer?),
                () = interrupts.during() => None,
            },
        };
        match answer {
            Some(answer) => messages.push(json!({ "role": "assistant", "content": answer })),
            // What was not answered to its end is as if it had not been asked.
            None => {
                messages.pop();
                print("\n");
            }
        }
    }
}

/// Ctrl-C: it stops an answer, and ends the program where there is none.
struct Interrupts {
    answering: Arc<AtomicBool>,
    stop: Arc<Notify>,
}

impl Interrupts {
    fn new() -> Self {
        let (answering, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let (told, stopping) = (answering.clone(), stop.clone());
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if !told.load(Ordering::Relaxed) {
                    std::process::exit(130);
                }
                stopping.notify_waiters();
            }
        });
        Self { answering, stop }
    }

    /// Waits for one while an answer comes.
    async fn during(&self) {
        let _comes = Comes(&self.answering);
        self.answering.store(true, Ordering::Relaxed);
        self.stop.notified().await;
    }
}

/// Says, once dropped, that no answer comes any more.
struct Comes<'a>(&'a AtomicBool);

impl Drop for Comes<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The first named model; as callers see it, for they need not be administrators.
async fn default_model(client: &Client) -> Result<String> {
    let response = client.send(client.request(reqwest::Method::GET, "/v1/models")?).await?;
    let body = net::read(response, 16 << 20).await.map_err(|error| Error::failed(error.to_string()))?;
    let models: Value = serde_json::from_slice(&body).unwrap_or_default();
    let named = list(&models, "data").iter().find(|model| text(model, "owned_by") == "portolan" && !text(model, "id").contains('/'));
    Ok(named.map_or_else(|| "portolan/echo".to_owned(), |model| text(model, "id")))
}

async fn turn(client: &Client, chat: &Chat, model: &str, messages: &[Value]) -> Result<String> {
    let body = json!({ "model": model, "messages": messages, "stream": true });
    let mut request = client.request(reqwest::Method::POST, "/v1/chat/completions")?.json(&body);
    for (header, value) in [("x-portolan-context", &chat.context), ("x-portolan-tools", &chat.tools)] {
        if let Some(value) = value {
            request = request.header(header, value);
        }
    }
    let mut response = client.send(request).await?;
    let failed = |value: &Value| {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Error::Failed { code: text("/error/code"), message: text("/error/message") }
    };
    if !response.status().is_success() {
        let body = net::read(response, 1 << 20).await.map_err(|error| Error::failed(error.to_string()))?;
        return Err(failed(&serde_json::from_slice(&body).unwrap_or_default()));
    }
    let mut splitter = Splitter::default();
    let mut answer = String::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::failed(error.to_string()))? {
        splitter.push(&chunk).map_err(|error| Error::failed(error.to_string()))?;
        while let Some(event) = splitter.next_event() {
            let Some(value) = event.data.and_then(|data| serde_json::from_str::<Value>(&data).ok()) else { continue };
            if value.get("error").is_some() {
                if !client.json {
                    print("\n");
                }
                return Err(failed(&value));
            }
            if let Some(text) = value.pointer("/choices/0/delta/content").and_then(Value::as_str) {
                answer.push_str(text);
                if !client.json {
                    print(&crate::domain::printable(text));
                }
            }
        }
    }
    if client.json {
        as_json(&json!({ "model": model, "content": answer }));
    } else {
        print("\n");
    }
    Ok(answer)
}
