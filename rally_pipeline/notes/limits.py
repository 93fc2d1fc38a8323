"""How much of a document is read: every bound of the readers in one place.

Belongs here: numbers, each with its unit and what happens beyond it. Does not belong here: enforcing them
(`readers/`).

A bound either *refuses* (`PayloadError`) or *leaves out* (the rest is not read, and a warning says so).
"""

from __future__ import annotations

from typing import Final

#: Bytes of one document or attachment; refuses. A research PDF with charts is below 10 MiB.
MAX_DOCUMENT_BYTES: Final = 20 * 1024 * 1024

#: Characters of one note; refuses. A 300-page initiation report has about 900,000.
MAX_NOTE_CHARACTERS: Final = 2_000_000

#: Characters of a declared field (title, analyst, source ...); the rest is left out.
MAX_FIELD_CHARACTERS: Final = 1_000

#: Pages of a PDF that are read; those after are left out.
MAX_PAGES_READ: Final = 500

#: Pages of a PDF; refuses. Such a file is a book or an attack, not a note.
MAX_PAGES: Final = 1_000

#: Depth of open elements in HTML; refuses. Building the tree takes time quadratic in it.
MAX_HTML_DEPTH: Final = 2_000

#: Depth of elements in the XML of a docx; refuses.
MAX_XML_DEPTH: Final = 256

#: Members of a docx; refuses.
MAX_ZIP_MEMBERS: Final = 5_000

#: Bytes that the text members of a docx may unpack to, together; refuses. Pictures are never unpacked.
MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024

#: Unpacked to packed size of one text member above `ZIP_RATIO_FROM` bytes; refuses. Word's XML packs about 1:10 to
#: 1:30.
MAX_ZIP_RATIO: Final = 200
ZIP_RATIO_FROM: Final = 4 * 1024 * 1024

#: Messages and multiparts inside each other in an e-mail; refuses.
MAX_MIME_DEPTH: Final = 8

#: Multipart boundaries declared in an e-mail; refuses. The time to find the parts grows with it.
MAX_MIME_BOUNDARIES: Final = 100

#: Parts of an e-mail, of any kind; refuses.
MAX_MIME_PARTS: Final = 1_000

#: Attachments of an e-mail that are read, those of attached messages included; the others are left out.
MAX_ATTACHMENTS: Final = 50

#: Mails of a mailbox file; refuses.
MAX_MAILS: Final = 1_000

#: Bytes of one header of an e-mail; a longer one is taken as absent.
MAX_HEADER_BYTES: Final = 16 * 1024

#: Rows of a file of headlines; refuses.
MAX_HEADLINE_ROWS: Final = 200_000

#: Columns of a file of headlines; refuses.
MAX_HEADLINE_COLUMNS: Final = 200

#: Characters of one cell, and of one line of JSON; refuses.
MAX_CELL_CHARACTERS: Final = 131_072
MAX_JSON_LINE_CHARACTERS: Final = 1_000_000

#: Bytes of front matter or of a side-car file; refuses. PyYAML reads some 100 KiB a second.
MAX_YAML_BYTES: Final = 16 * 1024

#: Depth of YAML collections; refuses.
MAX_YAML_DEPTH: Final = 3

#: Seconds of the clock for one piece of work of the guarded child (one PDF, docx, HTML page or e-mail structure), and
#: for one document with all its attachments; refuses.
MAX_WORK_SECONDS: Final = 30.0
MAX_DOCUMENT_SECONDS: Final = 120.0

#: Seconds of processor time for one piece of work; the kernel ends the child.
MAX_WORK_CPU_SECONDS: Final = 20

#: Bytes of address space of the child; what would need more is refused.
MAX_CHILD_MEMORY_BYTES: Final = 1024 * 1024 * 1024

#: Pieces of work after which a child is replaced, so that no leak of a native library grows without end.
MAX_CHILD_WORK: Final = 1_000

#: Bytes of an answer of the child; refuses. An e-mail of the largest size in base64 fits.
MAX_ANSWER_BYTES: Final = 96 * 1024 * 1024
