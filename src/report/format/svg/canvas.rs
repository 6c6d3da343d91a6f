//! The elements of a picture, with all texts escaped.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use super::super::xml::xml_text;
use crate::terminal::{Drawing, WriteColor, cut};

/// A picture while it is written.
pub(super) struct Canvas<'a> {
    writer: Writer<&'a mut dyn WriteColor>,
}

/// A part of a line of text.
#[derive(Debug, Clone)]
pub(super) struct TextSpan {
    class: &'static str,
    text: String,
}

impl TextSpan {
    pub(super) fn new(class: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { class, text }
    }
}

impl<'a> Canvas<'a> {
    /// Begins a picture of this size in pixels, which is drawn larger or smaller at will.
    pub(super) fn begin(
        out: &'a mut dyn WriteColor,
        [width, height]: [f64; 2],
        style: &str,
        title: &str,
    ) -> io::Result<Self> {
        let mut canvas = Self {
            writer: Writer::new(out),
        };
        let [width, height] = [width, height].map(number);
        let view = format!("0 0 {width} {height}");
        canvas.open(
            "svg",
            &[
                ("xmlns", "http://www.w3.org/2000/svg"),
                ("width", &width),
                ("height", &height),
                ("viewBox", &view),
                ("role", "img"),
            ],
        )?;
        canvas.line_end()?;
        canvas.element("title", &[], title)?;
        canvas.element("style", &[], style)?;
        canvas.rect("ground", [0.0, 0.0], ["100%", "100%"].map(String::from))?;
        Ok(canvas)
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.writer.write_event(Event::End(BytesEnd::new("svg")))?;
        self.line_end()
    }

    /// A line of text whose parts follow each other.
    pub(super) fn spans(
        &mut self,
        class: &str,
        [x, y]: [f64; 2],
        spans: &[TextSpan],
    ) -> io::Result<()> {
        let (x, y) = (number(x), number(y));
        self.open("text", &[("class", class), ("x", &x), ("y", &y)])?;
        for (nth, span) in spans.iter().enumerate() {
            // A blank for those who read the text, and the distance for the eye: not every
            // program draws blanks between parts.
            if nth > 0 {
                self.writer.write_event(Event::Text(BytesText::new(" ")))?;
            }
            let place = [("class", span.class), ("dx", "0.5em")];
            let place = if nth > 0 { &place[..] } else { &place[..1] };
            self.open("tspan", place)?;
            let text = xml_text(&span.text);
            self.writer
                .write_event(Event::Text(BytesText::new(&text)))?;
            self.writer
                .write_event(Event::End(BytesEnd::new("tspan")))?;
        }
        self.writer.write_event(Event::End(BytesEnd::new("text")))?;
        self.line_end()
    }

    /// A text of at most this many columns; a longer one is cut.
    pub(super) fn text(
        &mut self,
        class: &str,
        [x, y]: [f64; 2],
        columns: usize,
        text: &str,
    ) -> io::Result<()> {
        let (x, y) = (number(x), number(y));
        let text = xml_text(text);
        let text = cut(&text, columns, Drawing::Unicode);
        self.element("text", &[("class", class), ("x", &x), ("y", &y)], &text)
    }

    /// Lines and curves, as `d` says.
    pub(super) fn path(&mut self, class: &str, d: &str) -> io::Result<()> {
        if d.is_empty() {
            return Ok(());
        }
        let element = self.writer.create_element("path");
        let element = element.with_attributes([("class", class), ("d", d)]);
        element.write_empty()?;
        self.line_end()
    }

    /// A rectangle by its upper left corner, its width and its height.
    pub(super) fn rect(
        &mut self,
        class: &str,
        [x, y]: [f64; 2],
        [width, height]: [String; 2],
    ) -> io::Result<()> {
        let (x, y) = (number(x), number(y));
        let element = self.writer.create_element("rect");
        let element = element.with_attributes([("class", class), ("x", &x), ("y", &y)]);
        let element = element.with_attributes([("width", &*width), ("height", &*height)]);
        element.write_empty()?;
        self.line_end()
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> io::Result<()> {
        let text = xml_text(text);
        let element = self.writer.create_element(name);
        let element = element.with_attributes(attributes.iter().copied());
        element.write_text_content(BytesText::new(&text))?;
        self.line_end()
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.writer.write_event(Event::Start(start))
    }

    fn line_end(&mut self) -> io::Result<()> {
        self.writer.get_mut().write_all(b"\n")
    }
}

/// A number of pixels, to a tenth.
pub(super) fn number(pixels: f64) -> String {
    let text = format!("{pixels:.1}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_string(),
        None => text,
    }
}
