//! How answers are written, as far as there is room.

use super::reading::skip;
use super::{Conn, Scene, State, Wait};
use crate::http::answer::{Answer, Choice};
use crate::http::ear::Ear;
use crate::http::handled::{self, Call};
use crate::http::request::{self, Parsed, Room};
use crate::http::response::{self, Form, Rest};
use crate::http::route;
use crate::http::status::Status;
use crate::outbox::Outbox;

impl Conn {
    /// Queues a file. False: there is no room yet.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn write_file(
        &mut self,
        choice: Choice,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> bool {
        self.deferred = false;
        let form = self.form(scene);
        let written = response::write_file(choice, form, outbox, scene);
        if written {
            scene.service.stats.answered(200);
            match self.keep {
                true => self.state = State::Head,
                false => self.close(ear),
            }
        }
        written
    }

    /// Queues an answer's head and what fits of its content. False: there is no room yet, or the
    /// answer has to wait.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn write_head(
        &mut self,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> bool {
        let asks = self.answer.asks_for_flows();
        let taken = asks.is_none() || asks == scene.service.flows.from;
        self.deferred = self.answer.needs_rest() && !(scene.at_rest && taken);
        if self.deferred {
            return false;
        }
        let form = self.form(scene);
        let written = match self.answer {
            Answer::Handler(_) | Answer::Finished(_) => {
                self.write_handled(form, ear, outbox, scene)
            }
            Answer::Redirect(_) => self.write_redirect(form, ear, outbox, scene),
            answer => response::write(answer, None, &self.spans, form, outbox, scene),
        };
        let Some(written) = written else {
            return false;
        };
        self.rest = written.rest;
        self.state = State::Content;
        scene.service.stats.answered(written.code);
        true
    }

    /// How the answer is to be written. A guest that drains keeps no connection.
    fn form(&mut self, scene: &Scene<'_>) -> Form {
        self.keep &= !scene.service.health.draining;
        Form {
            head_only: self.head_only,
            keep: self.keep,
            old: self.old,
        }
    }

    /// Has a handler answer, when nothing of an earlier answer is left.
    #[cold]
    fn write_handled(
        &mut self,
        mut form: Form,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> Option<response::Written> {
        if !outbox.is_empty() {
            return None;
        }
        let written = match self.answer {
            Answer::Finished(route) => {
                let call = Call::Content(&mut self.work);
                handled::write(route, call, &mut form, outbox, scene)
            }
            Answer::Handler(route) => {
                let mut head = core::mem::take(&mut scene.service.head);
                let len = ear.peek_slice(&mut head).min(self.held);
                let head_now = &mut head[..len];
                if let Ok(Parsed::Newer(figure)) = request::parse(head_now, &mut Room::new()) {
                    head_now[figure] = b'1';
                }
                let mut room = Room::new();
                let written = match request::parse(head_now, &mut room) {
                    Ok(Parsed::Whole(_, request)) => {
                        let call = Call::Head(&request);
                        Some(handled::write(route, call, &mut form, outbox, scene))
                    }
                    _ => None,
                };
                scene.service.head = head;
                skip(ear, core::mem::take(&mut self.held));
                let Some(written) = written else {
                    // It was read before, and nothing has changed it.
                    self.refuse(Status::BadRequest);
                    return None;
                };
                written
            }
            _ => return None,
        };
        self.keep = form.keep;
        Some(written)
    }

    /// Queues an answer that leads to another place: its query is that of the request.
    #[cold]
    fn write_redirect(
        &mut self,
        form: Form,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> Option<response::Written> {
        let mut head = core::mem::take(&mut scene.service.head);
        let len = ear.peek_slice(&mut head).min(self.held);
        let (mut answer, mut query) = (self.answer, None);
        let mut room = Room::new();
        if let Ok(Parsed::Whole(_, request)) = request::parse(&head[..len], &mut room) {
            // Somebody else may have been redirected in the meantime.
            answer = route::decide(&request, scene.service, scene.port, &mut self.spans);
            query = request.query;
        }
        let written = response::write(answer, query, &self.spans, form, outbox, scene);
        scene.service.head = head;
        if written.is_some() {
            skip(ear, core::mem::take(&mut self.held));
        }
        written
    }

    /// Goes on with what a handler writes. What the connection waits for then; `None`: nothing, it
    /// has come to its end.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn go_on(
        &mut self,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> Option<Wait> {
        let Rest::Stream(stream) = &mut self.rest else {
            return None;
        };
        self.deferred = !scene.at_rest && scene.now >= stream.not_before();
        if self.deferred {
            return Some(Wait::Room);
        }
        match stream.go_on(outbox, scene) {
            handled::Progress::Done => None,
            handled::Progress::Broken => {
                log::warn!(target: "application", "a stream ended before its length");
                self.keep = false;
                self.close(ear);
                Some(Wait::End)
            }
            handled::Progress::Room => Some(Wait::Room),
            handled::Progress::Later => Some(Wait::Time),
        }
    }
}
