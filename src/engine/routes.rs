//! A request's path says who answers it.

use crate::clock::Now;
use crate::coap::{Code, ContentFormat, ReplyTo, Request, Response};
use crate::model::Peer;

use super::Engine;

/// What `/.well-known/core` shows (RFC 6690): short, as anyone may ask (RFC 9175 §2.4).
const WELL_KNOWN_CORE: &str = r#"</rd>;rt="core.rd""#;

impl Engine {
    pub(super) fn handle_request(
        &mut self,
        now: Now,
        peer: &Peer,
        reply_to: &ReplyTo,
        request: &Request,
    ) {
        let Some(path) = request.path() else {
            return self.respond(now, reply_to, Response::new(Code::BAD_REQUEST));
        };
        match (path.as_slice(), request.code) {
            (["fw", capability], Code::GET) => {
                self.handle_block_request(now, reply_to, request, capability);
            }
            (["rd"], Code::POST) | (["rd", _], Code::DELETE) if self.is_closed(now) => {
                let response = self.refuse_while_closed(now);
                self.coap.respond_stateless(reply_to, response);
            }
            (["rd"], Code::POST) | (["rd", _], Code::POST | Code::PUT | Code::DELETE) => {
                let response = self.handle_registration_request(now, peer, request);
                self.respond(now, reply_to, response);
            }
            (["dp"], Code::POST) => {
                let response = self.handle_send(now, peer, request);
                self.respond(now, reply_to, response);
            }
            ([".well-known", "core"], Code::GET) => {
                let response = Response::new(Code::CONTENT)
                    .with_payload(ContentFormat::LINK_FORMAT, WELL_KNOWN_CORE);
                self.respond(now, reply_to, response);
            }
            (["fw", _] | ["rd"] | ["rd", _] | ["dp"] | [".well-known", "core"], _) => {
                self.respond(now, reply_to, Response::new(Code::METHOD_NOT_ALLOWED));
            }
            _ => self.respond(now, reply_to, Response::new(Code::NOT_FOUND)),
        }
    }

    fn respond(&mut self, now: Now, reply_to: &ReplyTo, response: Response) {
        self.coap.respond(now.instant, reply_to, response);
    }
}
