"""Documents of office programs for bench/run sync: .docx and .odt as they are written, packed with all members anew at each save."""
import encodings.cp437  # noqa: F401  zipfile loads it when it reads, which a user's process may not be able to
import random
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

PARAGRAPHS = (60, 400)  # from, to
PICTURE_BYTES = (30_000, 250_000)
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
ODF = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
NEVER = (1980, 1, 1, 0, 0, 0)  # what Word writes in each member's head


def paragraph(kind: str, text: str, number: int) -> str:
    text = escape(text)
    if kind == "odt":
        return f'<text:p text:style-name="P{number % 7 + 1}"><text:span text:style-name="T{number % 3 + 1}">{text}</text:span></text:p>'
    return (f'<w:p w:rsidR="00A77B3E" w:rsidRDefault="00A77B3E"><w:pPr><w:pStyle w:val="Text{number % 7 + 1}"/><w:spacing w:after="160"/></w:pPr>'
            f'<w:r><w:rPr><w:lang w:val="en-GB"/></w:rPr><w:t xml:space="preserve">{text}</w:t></w:r></w:p>')


def styles(kind: str, chance) -> str:
    one = '<w:style w:type="paragraph" w:styleId="S{0}"><w:name w:val="Style {0}"/><w:rPr><w:sz w:val="{1}"/></w:rPr></w:style>'
    if kind == "odt":
        one = '<style:style style:name="S{0}" style:family="paragraph"><style:text-properties fo:font-size="{1}pt"/></style:style>'
    return "<styles>" + "".join(one.format(n, chance.randint(8, 40)) for n in range(180)) + "</styles>"


def members(kind: str, body: str, more: dict, saved: int) -> dict:
    """name: content, in the order in which the program writes them. `more`: what stays the same."""
    if kind == "odt":
        meta = f"<office:document-meta {ODF}><dc:date>2026-11-{1 + saved % 28:02}T10:{saved % 60:02}:07.123</dc:date><meta:editing-cycles>{saved + 3}</meta:editing-cycles></office:document-meta>"
        return {"mimetype": b"application/vnd.oasis.opendocument.text", **more,
                "content.xml": f"<office:document-content {ODF}><office:body>{body}</office:body></office:document-content>".encode(),
                "meta.xml": meta.encode(), "META-INF/manifest.xml": b"<manifest:manifest/>" * 12}
    core = f"<cp:coreProperties><cp:revision>{saved + 3}</cp:revision><dcterms:modified>2026-11-{1 + saved % 28:02}T10:{saved % 60:02}:00Z</dcterms:modified></cp:coreProperties>"
    return {"[Content_Types].xml": b"<Types>" + b'<Default Extension="xml" ContentType="application/xml"/>' * 9 + b"</Types>",
            "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>".encode(), **more, "docProps/core.xml": core.encode()}


def pack(path: Path, kind: str, parts: dict, saved: int) -> bytes:
    """LibreOffice notes when it saved in each member's head, Word does not; both deflate all, the mimetype of .odt apart."""
    beside = path.with_name(path.name + ".pack")
    when = NEVER if kind == "docx" else (2026, 11, 1 + saved % 28, 10, saved % 60, 6)
    with zipfile.ZipFile(beside, "w") as out:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name, when)
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            out.writestr(info, content)
    data = beside.read_bytes()
    beside.unlink()
    return data


def make_documents(root: Path, count: int, sources, chance: random.Random) -> None:
    for n in range(count):
        kind = ("docx", "odt")[n % 2]
        body = "".join(paragraph(kind, sources.prose.take(chance.randint(80, 700)), p) for p in range(chance.randint(*PARAGRAPHS)))
        media = "Pictures" if kind == "odt" else "word/media"
        more = {f"{media}/image{p}.png": b"\x89PNG\r\n\x1a\n" + chance.randbytes(chance.randint(*PICTURE_BYTES)) for p in range(chance.randint(0, 3))}
        more["styles.xml" if kind == "odt" else "word/styles.xml"] = styles(kind, chance).encode()
        path = root / f"Letters {n % 4}/Report {n:02}.{kind}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pack(path, kind, members(kind, body, more, 0), 0))


def save_documents(root: Path, sources, chance: random.Random, saved: int, replace) -> None:
    """One paragraph of each is edited."""
    for path in sorted(root.rglob("Report *.*")):
        kind = path.suffix[1:]
        content = "content.xml" if kind == "odt" else "word/document.xml"
        with zipfile.ZipFile(path) as document:
            parts = {name: document.read(name) for name in document.namelist()}
        end = "</text:p>" if kind == "odt" else "</w:p>"
        paragraphs = parts[content].decode().split(end)
        at = chance.randrange(len(paragraphs) - 1)
        tag = '<text:span text:style-name="T1">' if kind == "odt" else '<w:t xml:space="preserve">'
        first, _, rest = paragraphs[at].partition(tag)
        paragraphs[at] = first + tag + escape(sources.sentence(chance)) + " " + rest
        meta = "meta.xml" if kind == "odt" else "docProps/core.xml"
        parts[content] = end.join(paragraphs).encode()
        parts[meta] = members(kind, "", {}, saved)[meta]
        replace(path, pack(path, kind, parts, saved))
