"""Writes a one-page PDF: a title and lines of text. Just enough of ISO 32000 for the demo's patient leaflets."""


def leaflet(title: str, lines: list) -> bytes:
    def text(value):
        return value.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("latin-1")

    body = b"BT /F2 20 Tf 60 770 Td (" + text(title) + b") Tj /F1 12 Tf 0 -36 Td 18 TL\n"
    for line in lines:
        body += b"(" + text(line) + b") Tj T*\n"
    body += b"ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n" % len(body) + body + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>",
    ]
    out = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
