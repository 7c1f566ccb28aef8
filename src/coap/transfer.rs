//! Requests whose body goes out in blocks, and responses that come in blocks (RFC 7959 §2.4, §2.5), as
//! the client sees them: one block is outstanding at a time.
//!
//! ```text
//!   request, body > 1 block ──► Sending ──2.31──► next block … ──2.xx──► the response
//!                                  ▲ │ 4.08; 4.13 with a smaller size
//!                                  └─┘ (`block_restarts_max` times)
//!   response, Block2 with more ──► Fetching ──2.05──► next block … ──last──► the whole response
//!                                  ▲ │ another ETag
//!                                  └─┘
//! ```
//!
//! Tokens and message ids are the exchange's affair: each block has its own (RFC 9175 §4).

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::event::TransferError;
use super::{BlockValue, Code, OptionNumber, Options, Request, RequestId, Response};

/// What follows from the answer to one block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send this. Where a block of our body was taken, all bytes before this offset are.
    Block {
        request: Request,
        taken_bytes: Option<usize>,
    },
    /// The response to the whole; whether the whole body was taken.
    Done { response: Response, taken: bool },
    /// There will be none.
    Broken(TransferError),
}

/// Those under way, by the request that they are of.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    of_request: HashMap<RequestId, Transfer>,
    fetching: usize,
}

impl Transfers {
    /// Adds one.
    pub(super) fn insert(&mut self, id: RequestId, transfer: Transfer) {
        self.remove(id);
        self.fetching += usize::from(transfer.is_fetching());
        self.of_request.insert(id, transfer);
    }

    /// Takes away that of a request, if it has one.
    pub(super) fn remove(&mut self, id: RequestId) {
        if let Some(transfer) = self.of_request.remove(&id) {
            self.fetching -= usize::from(transfer.is_fetching());
        }
    }

    /// That of a request, if it has one.
    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Transfer> {
        self.of_request.get_mut(&id)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.of_request.len()
    }

    /// How many are of responses: each of these holds a body of its own.
    pub(super) const fn fetching(&self) -> usize {
        self.fetching
    }
}

/// One request that takes more than one exchange.
#[derive(Debug)]
pub(super) struct Transfer {
    /// Method and options, without those of blocks and of observing, and the whole body.
    request: Request,
    szx: u8,
    restarts_left: u8,
    direction: Direction,
}

#[derive(Debug)]
enum Direction {
    /// Up to where the body was taken.
    Sending {
        offset: usize,
    },
    Fetching(Fetched),
}

/// What has come of a response.
#[derive(Debug)]
struct Fetched {
    /// The first block's code and options.
    head: Response,
    etag: Option<Bytes>,
    body: BytesMut,
    bytes_max: usize,
}

impl Transfer {
    /// Sends a body in blocks of `szx`. `None` where it has more blocks than can be counted.
    pub(super) fn sending(request: Request, szx: u8, restarts_max: u8) -> Option<Self> {
        let transfer = Self {
            request,
            szx,
            restarts_left: restarts_max,
            direction: Direction::Sending { offset: 0 },
        };
        transfer.fits().then_some(transfer)
    }

    /// Fetches the rest of a response to `request` of which `first` has come.
    ///
    /// # Errors
    /// Where `first` is no first block, or longer than `bytes_max`.
    pub(super) fn fetching(
        mut request: Request,
        first: Response,
        bytes_max: usize,
        restarts_max: u8,
    ) -> Result<Self, TransferError> {
        for number in [OptionNumber::OBSERVE, OptionNumber::BLOCK2] {
            request.options.remove(number);
        }
        let (szx, fetched) = Fetched::begin(first, bytes_max)?;
        Ok(Self {
            request,
            szx,
            restarts_left: restarts_max,
            direction: Direction::Fetching(fetched),
        })
    }

    const fn is_fetching(&self) -> bool {
        matches!(self.direction, Direction::Fetching(_))
    }

    /// How long our body is.
    pub(super) fn size_bytes(&self) -> usize {
        self.request.payload.len()
    }

    /// The request for, or with, the next block.
    pub(super) fn block(&self) -> Request {
        let (code, mut options) = (self.request.code, self.request.options.clone());
        match &self.direction {
            Direction::Sending { offset } => {
                let body = &self.request.payload;
                let block = block_at(*offset, self.szx);
                let end = body.len().min(offset + block.size_bytes());
                let more = end < body.len();
                BlockValue { more, ..block }.put(&mut options, OptionNumber::BLOCK1);
                if *offset == 0 {
                    let size_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
                    options.push_uint(OptionNumber::SIZE1, size_bytes);
                }
                let payload = body.slice((*offset).min(end)..end);
                request(code, options, payload)
            }
            Direction::Fetching(fetched) => {
                let block = block_at(fetched.body.len(), self.szx);
                block.put(&mut options, OptionNumber::BLOCK2);
                request(code, options, Bytes::new())
            }
        }
    }

    /// Takes the answer to [`Self::block`].
    pub(super) fn answered(&mut self, response: Response) -> Next {
        match &mut self.direction {
            Direction::Sending { .. } => self.block_sent(response),
            Direction::Fetching(fetched) => match fetched.add(&response, self.szx) {
                Ok(Some(szx)) => {
                    self.szx = szx;
                    self.go_on(None)
                }
                Ok(None) => Next::Done {
                    response: fetched.take(),
                    taken: false,
                },
                // What was fetched is of no use; the error says why there is no more.
                Err(_) if !response.code.is_success() => Next::Done {
                    response,
                    taken: false,
                },
                Err(TransferError::Changed) => self.fetch_again(response),
                Err(error) => Next::Broken(error),
            },
        }
    }

    fn block_sent(&mut self, response: Response) -> Next {
        let Direction::Sending { offset } = self.direction else {
            return Next::Broken(TransferError::OutOfStep);
        };
        let sent = block_at(offset, self.szx);
        let end = offset + sent.size_bytes();
        let is_last = end >= self.request.payload.len();
        let answered = BlockValue::from_options(&response.options, OptionNumber::BLOCK1)
            .ok()
            .flatten();
        if response.code == Code::REQUEST_ENTITY_INCOMPLETE {
            // §2.9.2: what was taken is lost.
            return self.send_again(self.szx, response);
        }
        if response.code == Code::REQUEST_ENTITY_TOO_LARGE
            && let Some(smaller) = answered.filter(|block| block.szx < self.szx)
        {
            // §2.9.3: it would take smaller blocks.
            return self.send_again(smaller.szx, response);
        }
        let is_continue = response.code == Code::CONTINUE;
        if !response.code.is_success() || (is_last && !is_continue) {
            let taken = response.code.is_success();
            return Next::Done { response, taken };
        }
        // Without its number, or after the last block, it is not said what was taken. Any other 2.xx
        // for a block that is not the last is that of a device that acts on each by itself (§2.3).
        let Some(answered) = answered.filter(|block| block.num == sent.num && !is_last) else {
            return Next::Broken(TransferError::OutOfStep);
        };
        self.szx = self.szx.min(answered.szx);
        self.direction = Direction::Sending { offset: end };
        self.go_on(Some(end))
    }

    fn send_again(&mut self, szx: u8, response: Response) -> Next {
        let Some(restarts_left) = self.restarts_left.checked_sub(1) else {
            return Next::Done {
                response,
                taken: false,
            };
        };
        self.restarts_left = restarts_left;
        self.szx = szx;
        self.direction = Direction::Sending { offset: 0 };
        self.go_on(None)
    }

    /// §2.4: the resource has changed meanwhile, so that what came is of no use.
    fn fetch_again(&mut self, response: Response) -> Next {
        let (Some(restarts_left), Direction::Fetching(fetched)) =
            (self.restarts_left.checked_sub(1), &mut self.direction)
        else {
            return Next::Broken(TransferError::Changed);
        };
        self.restarts_left = restarts_left;
        fetched.body.clear();
        // Of an observation its first answer says what it said.
        let observe = fetched.head.options.first(OptionNumber::OBSERVE).cloned();
        fetched.etag = response.options.first(OptionNumber::ETAG).cloned();
        fetched.head = response;
        if let Some(observe) = observe {
            fetched.head.options.push(OptionNumber::OBSERVE, observe);
        }
        self.go_on(None)
    }

    fn go_on(&self, taken_bytes: Option<usize>) -> Next {
        if !self.fits() {
            return Next::Broken(TransferError::TooLarge);
        }
        Next::Block {
            request: self.block(),
            taken_bytes,
        }
    }

    /// Whether the number of each block fits in its 20 bits.
    fn fits(&self) -> bool {
        self.request.payload.len() <= block_at(0, self.szx).size_bytes() << 20
    }
}

impl Fetched {
    fn begin(first: Response, bytes_max: usize) -> Result<(u8, Self), TransferError> {
        let block = block2(&first).ok_or(TransferError::OutOfStep)?;
        let mut fetched = Self {
            etag: first.options.first(OptionNumber::ETAG).cloned(),
            head: Response {
                payload: Bytes::new(),
                ..first.clone()
            },
            body: BytesMut::new(),
            bytes_max,
        };
        fetched.add(&first, block.szx)?;
        Ok((block.szx, fetched))
    }

    /// Adds a block that was asked for in blocks of `szx`. The size to go on with; `None` after the
    /// last.
    fn add(&mut self, response: &Response, szx: u8) -> Result<Option<u8>, TransferError> {
        let block = block2(response)
            .filter(|block| response.code == self.head.code && block.szx <= szx)
            .ok_or(TransferError::OutOfStep)?;
        if response.options.first(OptionNumber::ETAG) != self.etag.as_ref() {
            return Err(TransferError::Changed);
        }
        let piece = &response.payload;
        let is_whole = piece.len() == block.size_bytes();
        if block.offset() != self.body.len() || piece.len() > block.size_bytes() {
            return Err(TransferError::OutOfStep);
        }
        if block.more && !is_whole {
            return Err(TransferError::OutOfStep);
        }
        let announced_bytes = response.options.uint(OptionNumber::SIZE2).unwrap_or(0) as usize;
        if announced_bytes.max(self.body.len() + piece.len()) > self.bytes_max {
            return Err(TransferError::TooLarge);
        }
        self.body.extend_from_slice(piece);
        Ok(block.more.then_some(block.szx))
    }

    fn take(&mut self) -> Response {
        let mut response = Response {
            payload: std::mem::take(&mut self.body).freeze(),
            ..self.head.clone()
        };
        response.options.remove(OptionNumber::BLOCK2);
        response
    }
}

/// Whether more of a response is to be fetched. A bad option is left to whoever reads the response.
pub(super) fn has_more(response: &Response) -> bool {
    block2(response).is_some_and(|block| block.more)
}

/// Whether a response is one block of several, the first or any other.
pub(super) fn is_part(response: &Response) -> bool {
    block2(response).is_some_and(|block| block.more || block.num > 0)
}

fn block2(response: &Response) -> Option<BlockValue> {
    BlockValue::from_options(&response.options, OptionNumber::BLOCK2)
        .ok()
        .flatten()
}

/// The block that begins at `offset`, a multiple of its size.
fn block_at(offset: usize, szx: u8) -> BlockValue {
    let first = BlockValue {
        num: 0,
        more: false,
        szx,
    };
    BlockValue {
        num: u32::try_from(offset / first.size_bytes()).unwrap_or(BlockValue::NUM_MAX),
        ..first
    }
}

fn request(code: Code, options: Options, payload: Bytes) -> Request {
    Request {
        code,
        options,
        payload,
    }
}
