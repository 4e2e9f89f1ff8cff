//! Answers on their way into an outbox.

use super::Status;
use super::answer::{Answer, Choice};
use super::conn::Scene;
use super::handled::Stream;
use super::multipart;
use super::range::Spans;
use crate::endpoints::Endpoint;
use crate::outbox::Outbox;
use crate::site::Site;
use crate::text::Text;
use core::fmt::Write as _;

/// Up to about this length a piece counts as one that is copied, in bytes.
const SHORT: usize = 200;

/// Longest head of a redirection, in bytes: what clients take without asking twice.
const LONGEST_REDIRECT: usize = 4000;

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
    /// The field that says whether the connection goes on, where it has to.
    pub fn connection(self) -> &'static [u8] {
        match (self.keep, self.old) {
            (true, false) => b"",
            (true, true) => b"Connection: keep-alive\r\n",
            (false, _) => b"Connection: close\r\n",
        }
    }

    /// The end of the head.
    pub fn ending(self) -> &'static [u8] {
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
    /// Of some ranges of a file, from this one on.
    Parts { choice: Choice, next: u8 },
    /// What a handler writes.
    Stream(Stream),
    /// Of the black box: these bytes.
    BlackBox { at: usize, end: usize },
}

impl Rest {
    /// Nothing.
    pub const NONE: Rest = Rest::Static(&[]);

    /// Queues what fits. Whether that was all.
    pub fn write(&mut self, spans: &Spans, outbox: &mut Outbox<'_>, scene: &mut Scene<'_>) -> bool {
        match self {
            Rest::Static(rest) => outbox.push_static(rest),
            Rest::Parts { choice, next } => {
                let service = &mut *scene.service;
                let representation = choice.of(&service.site);
                let spans = spans.as_slice();
                while usize::from(*next) <= spans.len() {
                    let number = usize::from(*next);
                    let text = &mut service.text;
                    text.clear();
                    let content: &'static [u8] = match spans.get(number) {
                        Some(span) => {
                            multipart::part_head(number, *span, representation, text);
                            span.of(representation.content)
                        }
                        None => {
                            multipart::end(representation, text);
                            &[]
                        }
                    };
                    // Both or nothing: a part's head is not written twice.
                    if outbox.places() < 2 || !outbox.push(&[text.bytes()]) {
                        return false;
                    }
                    outbox.push_static(content);
                    *next += 1;
                }
                true
            }
            // The connection asks it itself: it may have to wait for its time.
            Rest::Stream(_) => true,
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

/// Queues an answer that is a file: its head, which lies ready, and its content. False, with nothing
/// queued: there is no room for it.
#[cfg_attr(target_os = "none", optimize(speed))]
pub(super) fn write_file(
    choice: Choice,
    form: Form,
    outbox: &mut Outbox<'_>,
    scene: &mut Scene<'_>,
) -> bool {
    if outbox.places() < 4 {
        return false;
    }
    let file = choice.of(&scene.service.site);
    let mut queued = outbox.push_static(file.head.whole());
    queued &= end(form, outbox, scene);
    if !form.head_only {
        queued &= outbox.push_static(file.content);
    }
    debug_assert!(queued, "there were places for it");
    true
}

/// Queues the end of a head, for which there are two places.
#[cfg_attr(target_os = "none", optimize(speed))]
fn end(form: Form, outbox: &mut Outbox<'_>, scene: &Scene<'_>) -> bool {
    let queued = outbox.push_static(form.connection());
    let unix = scene
        .service
        .date
        .unix(scene.now.total_micros() / 1_000_000);
    queued
        & match unix {
            Some(unix) => outbox.push_stamp(unix),
            None => outbox.push_static(b"\r\n"),
        }
}

/// Queues an answer's head. `None`, with nothing queued: there is no room for it. `query`: that of
/// the request, for a redirection; `spans`: the ranges of [`Answer::Parts`].
pub(super) fn write(
    answer: Answer,
    query: Option<&[u8]>,
    spans: &Spans,
    form: Form,
    outbox: &mut Outbox<'_>,
    scene: &mut Scene<'_>,
) -> Option<Written> {
    let service = &mut *scene.service;
    let text = &mut service.text;
    text.clear();
    // What is generated, what lies ready, and the content.
    let answer = match answer {
        Answer::Redirect(status) if !redirect(status, query, service.site.location(), text) => {
            text.clear();
            Answer::Status(Status::UriTooLong)
        }
        answer => answer,
    };
    let (ready, rest): (&'static [u8], Rest) = match answer {
        Answer::Status(status) => {
            let prepared = status.prepared();
            (
                prepared.head.as_bytes(),
                Rest::Static(prepared.body.as_bytes()),
            )
        }
        Answer::Redirect(_) => (&[], Rest::NONE),
        Answer::Endpoint(endpoint) => return write_page(endpoint, form, outbox, scene),
        answer => generate(answer, spans, &service.site, text),
    };
    // All of the head or nothing: it is not written twice.
    if outbox.places() < 4 {
        return None;
    }
    let mut queued = true;
    if text.len() > 0 {
        // What lies ready may be copied behind what is generated, if it is short.
        if outbox.room() < text.len() + 2 * SHORT {
            return None;
        }
        queued &= outbox.push(&[text.bytes()]);
    }
    queued &= outbox.push_static(ready);
    queued &= end(form, outbox, scene);
    debug_assert!(queued, "there was room for it");
    Some(Written {
        code: answer.code(),
        rest: match form.head_only {
            true => Rest::NONE,
            false => rest,
        },
    })
}

/// Writes the beginning of a head that is not prepared; gives the rest of it, which is, and the
/// content. Writing into `Text` cannot fail.
#[cold]
#[cfg_attr(target_os = "none", optimize(size))]
fn generate(answer: Answer, spans: &Spans, site: &Site, text: &mut Text) -> (&'static [u8], Rest) {
    const SERVER: &str = "\r\nServer: Quartz\r\n";
    match answer {
        Answer::Part(choice, span) => {
            let file = choice.of(site);
            let len = span.end - span.start;
            let _ = write!(
                text,
                "HTTP/1.1 206 Partial Content{SERVER}Content-Length: {len}\r\n"
            );
            multipart::content_range(span, file.content.len(), text);
            (file.head.fields(), Rest::Static(span.of(file.content)))
        }
        Answer::Parts(choice) => {
            let file = choice.of(site);
            let _ = write!(text, "HTTP/1.1 206 Partial Content{SERVER}");
            multipart::fields(spans, file, text);
            (file.head.untyped(), Rest::Parts { choice, next: 0 })
        }
        Answer::NoSuchRange(choice) => {
            const BODY: &str = "416 Range Not Satisfiable\n";
            let file = choice.of(site);
            let _ = write!(
                text,
                "HTTP/1.1 416 Range Not Satisfiable{SERVER}Content-Range: bytes */{}\r\n\
                 Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n",
                file.content.len(),
                BODY.len()
            );
            (&[], Rest::Static(BODY.as_bytes()))
        }
        Answer::NotModified(choice) => {
            let _ = write!(text, "HTTP/1.1 304 Not Modified{SERVER}");
            (choice.of(site).head.shared(), Rest::NONE)
        }
        Answer::Missing(choice) => {
            let file = choice.of(site);
            let len = file.content.len();
            let _ = write!(
                text,
                "HTTP/1.1 404 Not Found{SERVER}Content-Length: {len}\r\n"
            );
            (file.head.fields(), Rest::Static(file.content))
        }
        Answer::NotAllowed(methods) => {
            const BODY: &str = "405 Method Not Allowed\n";
            let _ = write!(
                text,
                "HTTP/1.1 405 Method Not Allowed{SERVER}\
                 Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nAllow: ",
                BODY.len()
            );
            for (number, name) in methods.names().enumerate() {
                text.push(if number > 0 { b", " } else { b"" });
                text.push(name.as_bytes());
            }
            text.push(b"\r\n");
            (&[], Rest::Static(BODY.as_bytes()))
        }
        Answer::File(_)
        | Answer::Redirect(_)
        | Answer::Status(_)
        | Answer::Endpoint(_)
        | Answer::Handler(_)
        | Answer::Finished(_) => {
            unreachable!("prepared, or written elsewhere")
        }
    }
}

/// Writes the head of a redirection. The request's query goes with it, unless the place has one of
/// its own. False: it is too long.
#[cold]
#[cfg_attr(target_os = "none", optimize(size))]
fn redirect(status: u16, query: Option<&[u8]>, location: &[u8], text: &mut Text) -> bool {
    let phrase = match status {
        302 => "302 Found",
        303 => "303 See Other",
        307 => "307 Temporary Redirect",
        308 => "308 Permanent Redirect",
        _ => "301 Moved Permanently",
    };
    let _ = write!(
        text,
        "HTTP/1.1 {phrase}\r\nServer: Quartz\r\nContent-Length: 0\r\nLocation: "
    );
    let fragment = location.iter().position(|&b| b == b'#');
    let (place, fragment) = location.split_at(fragment.unwrap_or(location.len()));
    text.push(place);
    if let Some(query) = query
        && !place.contains(&b'?')
    {
        text.push(b"?");
        for &byte in query {
            match byte.is_ascii_graphic() {
                true => text.push(&[byte]),
                false => drop(write!(text, "%{byte:02X}")),
            }
        }
    }
    text.push(fragment);
    text.push(b"\r\n");
    !text.is_full() && text.len() <= LONGEST_REDIRECT
}

/// The same for a page. It lies in memory that the next one is written to, so all of it goes now,
/// or nothing.
#[cold]
#[cfg_attr(target_os = "none", optimize(size))]
fn write_page(
    endpoint: Endpoint,
    form: Form,
    outbox: &mut Outbox<'_>,
    scene: &mut Scene<'_>,
) -> Option<Written> {
    let page = endpoint.write(
        scene.service,
        scene.snapshot,
        scene.black_box_len,
        scene.now,
    );
    let content = if form.head_only { &[] } else { page.content };
    if !outbox.push(&[page.head, page.date, form.ending(), content]) {
        return None;
    }
    Some(Written {
        code: page.code,
        rest: match page.black_box {
            _ if form.head_only => Rest::NONE,
            0 => Rest::Static(page.ready),
            end => Rest::BlackBox { at: 0, end },
        },
    })
}
