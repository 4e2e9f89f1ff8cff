//! One row of the table: what is sent, and what has to come back.

/// A row.
#[derive(Clone, Debug)]
pub struct Case {
    /// Where it is written that it has to be so.
    pub section: &'static str,
    /// What it is about.
    pub name: &'static str,
    /// The bytes that are sent. `$NAME` stands for a validator: see [`super::Validators`].
    pub send: Vec<u8>,
    /// What Quartz answers.
    pub expected: Expected,
    /// The client closes its sending side behind the bytes.
    pub half_close: bool,
}

/// What comes back.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Answers in their order.
    pub answers: Vec<Answer>,
    /// Whether the connection serves another request afterwards, or is closed.
    pub open: bool,
    /// The last answer need not say that the connection is closed.
    pub silent: bool,
    /// Content without a head comes instead of an answer.
    pub bare: Option<Vec<u8>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// It answers a HEAD.
    pub to_head: bool,
    /// Fields by their names, each with its value, or without one if it must not be there.
    pub fields: Vec<(&'static str, Option<String>)>,
    /// Fields that are there, whatever they say.
    pub present: Vec<&'static str>,
    /// The content, if it matters.
    pub body: Option<Vec<u8>>,
}

/// A row that sends these bytes.
pub fn case(section: &'static str, name: &'static str, send: impl AsRef<[u8]>) -> Case {
    Case {
        section,
        name,
        send: send.as_ref().to_vec(),
        expected: Expected::default(),
        half_close: false,
    }
}

/// A GET with these lines of fields behind `Host`, each with its line end.
pub fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

/// The same with HEAD.
pub fn head(path: &str, fields: &str) -> String {
    format!("HEAD {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

impl Case {
    /// The same bytes with nothing expected yet.
    pub fn blank(&self) -> Case {
        Case {
            expected: Expected::default(),
            ..self.clone()
        }
    }

    /// What it is called: no two rows share it.
    pub fn title(&self) -> String {
        format!("{}: {}", self.section, self.name)
    }

    /// It is answered with this status; what follows says more about the answer.
    pub fn gives(mut self, status: u16) -> Case {
        let to_head = self.send.starts_with(b"HEAD ");
        self.expected.answers.push(Answer {
            status,
            to_head: to_head && status >= 200,
            fields: Vec::new(),
            present: Vec::new(),
            body: None,
        });
        self
    }

    fn last(&mut self) -> &mut Answer {
        self.expected.answers.last_mut().expect("an answer first")
    }

    /// The answer has this field.
    pub fn field(mut self, name: &'static str, value: &str) -> Case {
        self.last().fields.push((name, Some(value.into())));
        self
    }

    /// The answer has a field of this name.
    pub fn has(mut self, name: &'static str) -> Case {
        self.last().present.push(name);
        self
    }

    /// The answer does not have this field.
    pub fn lacks(mut self, name: &'static str) -> Case {
        self.last().fields.push((name, None));
        self
    }

    /// The answer has this content.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Case {
        self.last().body = Some(body.as_ref().to_vec());
        self
    }

    /// The answer is one to a HEAD in the middle of other requests.
    pub fn answers_head(mut self) -> Case {
        self.last().to_head = true;
        self
    }

    /// The connection goes on.
    pub fn open(mut self) -> Case {
        self.expected.open = true;
        self
    }

    /// The connection is closed, although the last answer may not say so.
    pub fn silent(mut self) -> Case {
        self.expected.silent = true;
        self
    }

    /// Content comes without a head, as in HTTP/0.9.
    pub fn bare(mut self, body: &str) -> Case {
        self.expected.bare = Some(body.into());
        self
    }

    /// The client sends no more and says so.
    pub fn half_closed(mut self) -> Case {
        self.half_close = true;
        self
    }
}
