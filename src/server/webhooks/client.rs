//! Posts deliveries: HTTP/1.1 over connections of our own, so that only addresses that were looked at are
//! connected to, whatever a name resolves to just then. Redirects are answers like any other.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, Method, Request, header};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::schedule::Answer;
use super::sign::signature;
use crate::clock::Utc;
use crate::http::{CLOUD_EVENTS_TYPE, HookUrl};
use crate::model::{Webhook, WebhookDelivery};
use crate::net::Destinations;

/// How much of an answer's body is read, so that the connection can be used again, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 4;
/// The longest error that is kept, in bytes.
const ERROR_BYTES_MAX: usize = 256;

/// TLS to receivers: the certificates that this machine trusts, and those of `ca_file`.
///
/// # Errors
/// Where that file cannot be read or holds no certificate.
pub(super) fn tls(ca_file: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "certificates of this machine cannot be read");
    }
    // A machine's store may hold what is no certificate of an authority.
    roots.add_parsable_certificates(native.certs);
    if let Some(file) = ca_file {
        let unusable =
            |fault: &dyn std::fmt::Display| format!("webhooks.ca_file {}: {fault}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|fault| unusable(&fault))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|fault| unusable(&fault))?;
            roots.add(certificate).map_err(|fault| unusable(&fault))?;
        }
        if roots.len() == before {
            return Err(unusable(&"holds no certificate"));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| fault.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What posts to one receiver.
pub(super) struct Client {
    url: HookUrl,
    destinations: Destinations,
    tls: TlsConnector,
    timeout: Duration,
    /// The connection of the last delivery, where it can be used again.
    idle: Option<SendRequest<Body>>,
}

impl Client {
    pub(super) fn new(
        url: HookUrl,
        destinations: Destinations,
        tls: TlsConnector,
        timeout: Duration,
    ) -> Self {
        Self {
            url,
            destinations,
            tls,
            timeout,
            idle: None,
        }
    }

    /// Posts a delivery, signed now.
    pub(super) async fn post(
        &mut self,
        webhook: &Webhook,
        delivery: &WebhookDelivery,
        now: Utc,
    ) -> Answer {
        let posted = tokio::time::timeout(self.timeout, self.exchange(webhook, delivery, now));
        match posted.await {
            Ok(Ok(status)) => Answer::Status(status),
            Ok(Err(error)) => {
                let mut error = error.to_string();
                error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
                Answer::None(error)
            }
            Err(_) => {
                let seconds = self.timeout.as_secs_f32();
                Answer::None(format!("no answer within {seconds} s"))
            }
        }
    }

    async fn exchange(
        &mut self,
        webhook: &Webhook,
        delivery: &WebhookDelivery,
        now: Utc,
    ) -> Result<u16, ClientError> {
        // One that its receiver has closed meanwhile says so when it is used, before anything was sent.
        if let Some(mut connection) = self.idle.take()
            && connection.ready().await.is_ok()
        {
            let request = self.request(webhook, delivery, now)?;
            match connection.try_send_request(request).await {
                Ok(response) => return self.finish(connection, response).await,
                Err(mut error) => {
                    if error.take_message().is_none() {
                        return Err(error.into_error().into());
                    }
                }
            }
        }
        let mut connection = self.connect().await?;
        let request = self.request(webhook, delivery, now)?;
        let response = connection.send_request(request).await?;
        self.finish(connection, response).await
    }

    fn request(
        &self,
        webhook: &Webhook,
        delivery: &WebhookDelivery,
        now: Utc,
    ) -> Result<Request<Body>, ClientError> {
        let timestamp = now.unix_ms().div_euclid(1000);
        let signature = signature(
            &webhook.secret,
            &delivery.message_id,
            timestamp,
            &delivery.body,
        );
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url.target)
            .header(header::HOST, &self.url.authority)
            .header(header::CONTENT_TYPE, CLOUD_EVENTS_TYPE)
            .header(header::USER_AGENT, HeaderValue::from_static("narrowcast"))
            .header("webhook-id", &delivery.message_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Body::from(delivery.body.clone()));
        request.map_err(|fault| ClientError::Request(fault.to_string()))
    }

    /// The status; the connection is kept where the body has come to its end.
    async fn finish(
        &mut self,
        connection: SendRequest<Body>,
        response: axum::http::Response<hyper::body::Incoming>,
    ) -> Result<u16, ClientError> {
        let status = response.status().as_u16();
        let mut body = std::pin::pin!(response.into_body());
        let mut bytes = 0;
        // What the status says holds, whatever comes of the body.
        while let Some(frame) =
            std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
        {
            let Ok(frame) = frame else { return Ok(status) };
            bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
            if bytes > ANSWER_BYTES_MAX {
                return Ok(status);
            }
        }
        self.idle = Some(connection);
        Ok(status)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, ClientError> {
        let tcp = self.connect_tcp().await?;
        if !self.url.tls {
            return shake_hands(tcp).await;
        }
        let name = ServerName::try_from(self.url.host.clone())
            .map_err(|fault| ClientError::Request(fault.to_string()))?;
        let tls = self.tls.connect(name, tcp).await;
        shake_hands(tls.map_err(ClientError::Tls)?).await
    }

    /// Only addresses that may be: a name that resolves to others too is not reached by those.
    async fn connect_tcp(&self) -> Result<TcpStream, ClientError> {
        let resolved: Vec<SocketAddr> = match self.url.address() {
            Some(address) => vec![address],
            None => tokio::net::lookup_host((self.url.host.as_str(), self.url.port))
                .await
                .map_err(ClientError::Resolve)?
                .collect(),
        };
        let mut fault = ClientError::Resolve(io::ErrorKind::NotFound.into());
        for address in resolved.into_iter().take(ADDRESSES_MAX) {
            if let Err(refused) = self.destinations.check(address) {
                fault = ClientError::Refused(refused);
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A delivery is written whole: there is nothing to gather for.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => fault = ClientError::Connect(error),
            }
        }
        Err(fault)
    }
}

async fn shake_hands<S>(stream: S) -> Result<SendRequest<Body>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the last that could send on it; what breaks it, a request is told.
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(requests)
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("the name cannot be resolved: {0}")]
    Resolve(io::Error),
    #[error(transparent)]
    Refused(crate::net::DestinationRefused),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("cannot be sent: {0}")]
    Request(String),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
}
