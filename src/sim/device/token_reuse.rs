//! Stacks that use one token for all that they ask (RFC 7252 §5.3.1 lets them, where one request waits
//! at a time).

use super::SocketKind;

/// The token of all requests.
const REUSED: [u8; 8] = *b"narrowca";

/// Where a token of eight bytes stands.
const TOKEN: std::ops::Range<usize> = 4..12;

/// The tokens that the endpoints have drawn for the requests that wait.
#[derive(Debug, Default)]
pub(super) struct TokenReuse {
    drawn: [Option<[u8; 8]>; 2],
}

impl TokenReuse {
    /// A datagram goes out: a request has the one token from here on.
    pub(super) fn sent(&mut self, socket: SocketKind, head: &mut [u8]) {
        let is_request = head.get(1).is_some_and(|code| (1..=4).contains(code));
        if is_request && let Some(token) = token(head) {
            let drawn = *token;
            *token = REUSED;
            self.drawn[socket as usize] = Some(drawn);
        }
    }

    /// One comes: what answers a request has the token of its own again.
    pub(super) fn received(&self, socket: SocketKind, datagram: &mut [u8]) {
        let is_response = datagram.get(1).is_some_and(|code| *code >= 0x40);
        if is_response
            && let Some(drawn) = self.drawn[socket as usize]
            && let Some(token) = token(datagram).filter(|token| **token == REUSED)
        {
            *token = drawn;
        }
    }
}

/// The token, where it has the length that endpoints draw.
fn token(datagram: &mut [u8]) -> Option<&mut [u8; 8]> {
    let is_long = datagram.first().is_some_and(|first| first & 0x0f == 8);
    if !is_long {
        return None;
    }
    datagram.get_mut(TOKEN)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: SocketKind = SocketKind::Main;

    #[test]
    fn all_requests_have_one_token_and_answers_find_what_was_asked() {
        let mut tokens = TokenReuse::default();
        for drawn in [1, 2] {
            let mut request = [0x48, 1, 0, drawn, drawn, 0, 0, 0, 0, 0, 0, 9, 0xb2];
            let before = request;
            tokens.sent(MAIN, &mut request);
            assert_eq!(request[TOKEN], REUSED);
            let mut answer = request;
            (answer[0], answer[1]) = (0x68, 0x45);
            tokens.received(SocketKind::Download, &mut answer);
            assert_eq!(answer[TOKEN], REUSED, "nothing was asked there");
            tokens.received(MAIN, &mut answer);
            assert_eq!(answer[TOKEN], before[TOKEN]);
        }
        // The server's own requests, and answers to them, have the server's tokens.
        let mut notification = [0x48, 0x45, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7];
        let before = notification;
        tokens.sent(MAIN, &mut notification);
        assert_eq!(notification, before);
    }
}
