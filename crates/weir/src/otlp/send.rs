//! How an export gets to the collector: protocol buffers over HTTP, or gRPC's framing of the same over HTTP/2.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use prost::Message;
use weir_config::OtlpProtocol;

use super::proto::Accepted;

/// How long a collector may take for one export.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

/// Why an export did not arrive.
#[derive(Debug)]
pub struct NotSent {
    /// In a few words, without anything that was sent.
    pub why: String,
    /// Whether another try can help.
    pub again: bool,
}

/// A collector.
pub struct Collector {
    client: reqwest::Client,
    endpoint: String,
    protocol: OtlpProtocol,
    headers: Vec<(String, String)>,
}

impl Collector {
    /// The one of the configuration.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(written: &weir_config::Otlp) -> Result<Collector, reqwest::Error> {
        let protocol = written.spoken();
        let mut builder = reqwest::Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(Duration::from_secs(3))
            .redirect(reqwest::redirect::Policy::none());
        let endpoint = written.endpoint.as_str().trim_end_matches('/').to_owned();
        if protocol == OtlpProtocol::Grpc && endpoint.starts_with("http://") {
            builder = builder.http2_prior_knowledge();
        }
        let headers = &written.headers;
        Ok(Collector {
            client: builder.build()?,
            endpoint,
            protocol,
            headers: headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        })
    }

    /// Sends; says how many of the points, spans or records the collector refused.
    ///
    /// # Errors
    /// It can't be reached, or refuses all of it.
    pub async fn send(&self, signal: Signal, message: &impl Message) -> Result<u64, NotSent> {
        let body = match self.protocol {
            OtlpProtocol::Http => message.encode_to_vec().into(),
            OtlpProtocol::Grpc => framed(message),
        };
        let mut request = self.client.post(self.url(signal)).header("content-type", self.kind()).body(body);
        if self.protocol == OtlpProtocol::Grpc {
            request = request.header("te", "trailers");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        match self.protocol {
            OtlpProtocol::Http => http(response).await,
            OtlpProtocol::Grpc => grpc(response).await,
        }
    }

    fn url(&self, signal: Signal) -> String {
        let path = match (self.protocol, signal) {
            (OtlpProtocol::Http, Signal::Traces) => "v1/traces",
            (OtlpProtocol::Http, Signal::Metrics) => "v1/metrics",
            (OtlpProtocol::Http, Signal::Logs) => "v1/logs",
            (OtlpProtocol::Grpc, Signal::Traces) => {
                "opentelemetry.proto.collector.trace.v1.TraceService/Export"
            }
            (OtlpProtocol::Grpc, Signal::Metrics) => {
                "opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
            }
            (OtlpProtocol::Grpc, Signal::Logs) => "opentelemetry.proto.collector.logs.v1.LogsService/Export",
        };
        format!("{}/{path}", self.endpoint)
    }

    fn kind(&self) -> &'static str {
        match self.protocol {
            OtlpProtocol::Http => "application/x-protobuf",
            OtlpProtocol::Grpc => "application/grpc",
        }
    }
}

/// Not compressed, its length, the message.
fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(message.encoded_len() + 5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

async fn http(response: reqwest::Response) -> Result<u64, NotSent> {
    let status = response.status();
    if !status.is_success() {
        // The conventions name those that are worth another try.
        let again = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        return Err(NotSent { why: format!("the collector answered {}", status.as_u16()), again });
    }
    let body = response.bytes().await.unwrap_or_default();
    Ok(refused(&body))
}

async fn grpc(response: reqwest::Response) -> Result<u64, NotSent> {
    let response: http::Response<reqwest::Body> = response.into();
    let (head, body) = response.into_parts();
    if head.status != http::StatusCode::OK {
        let why = format!("the collector answered {}", head.status.as_u16());
        return Err(NotSent { why, again: head.status.is_server_error() });
    }
    let collected = body.collect().await.map_err(|error| unreachable(&error))?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let status = trailers.get("grpc-status").or_else(|| head.headers.get("grpc-status"));
    match status.and_then(|status| status.to_str().ok()).unwrap_or("none") {
        "0" => Ok(refused(collected.to_bytes().get(5..).unwrap_or_default())),
        // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS.
        code => Err(NotSent {
            why: format!("the collector answered gRPC status {code}"),
            again: ["1", "4", "8", "10", "11", "14", "15"].contains(&code),
        }),
    }
}

fn refused(body: &[u8]) -> u64 {
    let answer = Accepted::decode(body).unwrap_or_default();
    answer.partial.map_or(0, |partial| u64::try_from(partial.rejected).unwrap_or(0))
}

fn unreachable(error: &dyn std::error::Error) -> NotSent {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    NotSent { why, again: true }
}
