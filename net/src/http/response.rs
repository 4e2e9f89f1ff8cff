//! Answers on their way into an outbox.

use super::Status;
use super::conn::Scene;
use crate::endpoints::Endpoint;
use crate::outbox::Outbox;

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A file of the site, by its number.
    File(u32),
    /// The client has this file already (304).
    NotModified(u32),
    /// To the directory of this index page, with a slash at its end (301).
    Redirect(u32),
    /// A status of its own.
    Status(Status),
    /// A page about the guest.
    Endpoint(Endpoint),
}

impl Answer {
    /// The status code, for the counters. That of an endpoint is known when it is written.
    pub fn code(self) -> u16 {
        match self {
            Answer::File(_) | Answer::Endpoint(_) => 200,
            Answer::NotModified(_) => 304,
            Answer::Redirect(_) => 301,
            Answer::Status(status) => status.code(),
        }
    }

    /// Whether it is written when no received frame is being looked at: see
    /// [`Endpoint::needs_rest`].
    pub fn needs_rest(self) -> bool {
        matches!(self, Answer::Endpoint(endpoint) if endpoint.needs_rest())
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Without its content.
    pub head_only: bool,
    /// The connection goes on.
    pub keep: bool,
    /// To a client of HTTP/1.0.
    pub old: bool,
}

impl Form {
    /// The end of the head.
    fn ending(self) -> &'static [u8] {
        match (self.keep, self.old) {
            (true, false) => b"\r\n",
            (true, true) => b"Connection: keep-alive\r\n\r\n",
            (false, _) => b"Connection: close\r\n\r\n",
        }
    }
}

/// Content that is still to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// Of a file, or nothing.
    Static(&'static [u8]),
    /// Of the black box: these bytes.
    BlackBox { at: usize, end: usize },
}

impl Rest {
    /// Queues what fits. Whether that was all.
    pub fn write(&mut self, outbox: &mut Outbox<'_>, scene: &Scene<'_>) -> bool {
        match self {
            Rest::Static(rest) => {
                let all = outbox.push_static(rest);
                if all {
                    *rest = &[];
                }
                all
            }
            Rest::BlackBox { at, end } => {
                while at < end {
                    let run =
                        outbox.push_with(*end - *at, |target| (scene.read_black_box)(*at, target));
                    if run == 0 {
                        return false;
                    }
                    *at += run;
                }
                true
            }
        }
    }
}

/// An answer whose head is in the outbox.
pub(super) struct Written {
    /// Its status code.
    pub code: u16,
    /// What of its content is not in the outbox yet.
    pub rest: Rest,
}

/// Queues an answer's head. `None`, with nothing queued: there is no room for it.
pub(super) fn write(
    answer: Answer,
    form: Form,
    outbox: &mut Outbox<'_>,
    scene: &mut Scene<'_>,
) -> Option<Written> {
    let service = &mut *scene.service;
    let date = service.date.field(scene.now.total_micros() / 1_000_000);
    let (head, content) = match answer {
        Answer::File(number) => service.site.file(number),
        Answer::Status(status) => {
            let prepared = status.prepared();
            (prepared.head.as_bytes(), prepared.body.as_bytes())
        }
        Answer::NotModified(number) => (
            service.site.not_modified(number, &mut service.text),
            &[][..],
        ),
        Answer::Redirect(number) => (service.site.redirect(number, &mut service.text), &[][..]),
        Answer::Endpoint(endpoint) => return write_page(endpoint, form, outbox, scene),
    };
    let content = if form.head_only { &[] } else { content };
    let queued = outbox.push(&[head, date, form.ending()]);
    queued.then_some(Written {
        code: answer.code(),
        rest: Rest::Static(content),
    })
}

/// The same for a page. It lies in memory that the next one is written to, so all of it goes now,
/// or nothing.
#[cold]
fn write_page(
    endpoint: Endpoint,
    form: Form,
    outbox: &mut Outbox<'_>,
    scene: &mut Scene<'_>,
) -> Option<Written> {
    let service = &mut *scene.service;
    let date = service.date.field(scene.now.total_micros() / 1_000_000);
    let page = endpoint.write(
        &mut service.text,
        &service.stats,
        &service.health,
        scene.snapshot,
        scene.black_box_len,
        scene.now,
    );
    let (content, black_box) = match form.head_only {
        true => (&[][..], 0),
        false => (page.content, page.black_box),
    };
    let queued = outbox.push(&[page.head, date, form.ending(), content]);
    queued.then_some(Written {
        code: page.code,
        rest: match black_box {
            0 => Rest::Static(&[]),
            end => Rest::BlackBox { at: 0, end },
        },
    })
}
