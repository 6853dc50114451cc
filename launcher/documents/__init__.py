"""Documents for people: what a report holds, whatever it is about, and how it is written as HTML, Markdown and JSON."""
