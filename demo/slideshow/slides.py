"""The deck, and how its slides are drawn: each is one SVG of 1600 by 900.

Change ``DECK`` to give your own talk.  Only ``draw`` and ``DECK`` are used from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

NIGHT, DUSK, LINEN, ASH = "#101833", "#2b3763", "#f3f1e8", "#a9b3d3"
MADDER, OCHRE, TEAL = "#f0836a", "#edb94f", "#62c6cf"
WOOLS = (MADDER, OCHRE, TEAL)
SANS = "Optima, Candara, 'Segoe UI', 'Noto Sans', 'Helvetica Neue', 'Liberation Sans', sans-serif"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace"

MIDDLE = 'text-anchor="middle"'
CODE = f'font-family="{MONO}" xml:space="preserve"'


@dataclass(frozen=True)
class Slide:
    """One slide: what it says, what the presenter says, and what is drawn beside it."""

    title: str
    lines: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    notes: str = ""
    art: Callable[[], str] = str

    @property
    def words(self) -> str:
        """Return all that can be read on the slide, for those who cannot see it."""
        return "\n".join((" ".join(self.title.split()), *self.lines, *self.code))


def text(x: float, y: float, words: str, size: float, colour: str = LINEN, extra: str = "") -> str:
    """Return one line of text."""
    return (f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" {extra}>'
            f"{escape(words)}</text>")


def stitch(path: str, colour: str, width: float = 7, dash: str = "24 15") -> str:
    """Return a line sewn in running stitch."""
    return (f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-linecap="round" stroke-linejoin="round" stroke-dasharray="{dash}"/>')


def star(x: float, y: float, scale: float, turn: float = 0, tail: str = "") -> str:
    """Return a star at ``x``, ``y``; with a tail it is a comet."""
    rays = "".join(f'<path d="M70 0H104" transform="rotate({angle})" stroke="{LINEN}" '
                   'stroke-width="8" stroke-linecap="round"/>'
                   for angle in range(-120, 121 if tail else 211, 30))
    return (f'<g transform="translate({x} {y}) rotate({turn}) scale({scale})">{tail}{rays}'
            f'<circle r="44" fill="{OCHRE}"/><circle r="20" fill="{MADDER}"/></g>')


def comet(x: float, y: float, scale: float, turn: float) -> str:
    """Return a comet whose head is at ``x``, ``y`` and whose tail is turned by ``turn`` degrees."""
    return star(x, y, scale, turn, "".join(
        stitch(f"M-96 {i * 13} C-250 {i * 19} -450 {i * 24} {-960 + abs(i) * 95} {i * 38}",
               (OCHRE, MADDER, LINEN, TEAL, ASH)[abs(i)], 9 - abs(i)) for i in range(-4, 5)))


def hem(number: int, total: int) -> str:
    """Return the border under the slide, embroidered as far as the talk has come."""
    step, left = 16, 80
    marks = range((1600 - 2 * left) // step + 1)
    done = len(marks) * number / total
    slants = (f'<path d="M{left + i * step - 5} {850 if i // 3 % 2 else 828}'
              f'L{left + i * step + 5} {828 if i // 3 % 2 else 850}" '
              f'stroke="{WOOLS[i // 3 % 3] if i < done else DUSK}" '
              'stroke-width="5" stroke-linecap="round"/>' for i in marks)
    return "".join(slants)


def night_sky() -> str:
    """Draw the cover: the comet, and what the tapestry says under its own."""
    inscription = 'letter-spacing="15" font-weight="400"'
    return comet(1390, 245, 1.04, -4) + text(80, 120, "ISTI MIRANT STELLA", 34, ASH, inscription)


def dialogue() -> str:
    """Draw a page that polls."""
    said = [("Anything new?", ASH), ("No.", MADDER)] * 3
    said += [("Anything new?", ASH), ("Yes, for nine seconds.", OCHRE)]
    return "".join(text(860 + 90 * (i % 2), 190 + 78 * i, words, 52, colour)
                   for i, (words, colour) in enumerate(said))


def held_connect() -> str:
    """Draw a request that is held until there is an answer."""
    return "".join((
        text(840, 230, "page", 44, ASH), text(840, 680, "server", 44, ASH),
        stitch("M840 270H1520", DUSK), stitch("M840 620H1520", DUSK),
        stitch("M900 280L960 606", TEAL, 8), stitch("M975 620H1330", OCHRE, 10),
        stitch("M1340 606L1396 284", OCHRE, 8), star(1336, 620, 0.36),
        text(1010, 575, "waiting", 44, OCHRE), text(1376, 680, "now!", 44, OCHRE),
        '<circle cx="1398" cy="270" r="14" fill="#edb94f"/>',
        '<circle cx="900" cy="270" r="14" fill="#62c6cf"/>'))


def patterns() -> str:
    """Draw which channels two patterns reach."""
    names = (("/chat/loom", 150), ("/chat/wool", 260), ("/chat/wool/red", 370))
    reach = (("/chat/*", 190, OCHRE, names[:2]), ("/chat/**", 335, TEAL, names))
    threads = (stitch(f"M1010 {start - 16}C1090 {start - 16} 1050 {end - 16} 1130 {end - 16}", wool)
               for _, start, wool, reached in reach for _, end in reached)
    return "".join((*threads, *(text(770, y, name, 46, wool, CODE) for name, y, wool, _ in reach),
                    *(text(1152, y, name, 44, LINEN, CODE) for name, y in names)))


def neighbours() -> str:
    """Draw the site, the server and the browsers."""
    def box(x: float, y: float, width: float, height: float, colour: str) -> str:
        return stitch(f"M{x} {y}h{width}v{height}h{-width}z", colour)

    browsers = ((1400, 170, 120, 180), (1340, 410, 180, 120), (1400, 590, 120, 180))
    threads = (f"M1190 {430 + i * 40}L{x - 24} {y + height / 2}"
               for i, (x, y, _, height) in enumerate(browsers, -1))
    return "".join((
        box(640, 360, 230, 220, MADDER), text(755, 455, "your", 48, LINEN, MIDDLE),
        text(755, 515, "site", 48, LINEN, MIDDLE), stitch("M890 470H1020", OCHRE),
        star(1110, 470, 0.78),
        *(stitch(thread, OCHRE) for thread in threads), *(box(*b, TEAL) for b in browsers)))


DECK = (
    Slide("A comet over\nyour server", ("txbayeux: Bayeux on Twisted",), art=night_sky, notes=(
        "In 1066 a comet stood over England, and the people who sewed the Bayeux Tapestry put it "
        "in: isti mirant stella, these men wonder at the star. Comet became the name for servers "
        "that speak first; Bayeux is the protocol that they agreed on.")),
    Slide("The page\nthat asks\nall day", art=dialogue, notes=(
        "The web is made of questions. A page that wants news has to ask, and ask, and ask. Most "
        "answers are no, and the one that matters is late. Two thousand readers asking every ten "
        "seconds are two hundred requests a second, for nothing.")),
    Slide("The question\nthat waits", ("Ask once.", "The answer leaves", "when there is one."),
          art=held_connect, notes=(
        "Bayeux turns it round: the page asks once and the server keeps the question. When "
        "something happens the answer is on its way in the same instant; then the page asks again. "
        "It goes through every proxy, since it is only a slow answer.")),
    Slide("Channels are\nplain names", ("Listen to one,", "or to many with a star."),
          art=patterns, notes=(
        "No queues to set up and no schema: a channel exists when somebody listens. A star stands "
        "for one more segment, two stars for any number. Under /service a page talks to the server "
        "alone, and nobody else can hear it.")),
    Slide("It stands\nbeside\nyour site", ("Django, Rails, PHP:", "they publish,",
                                           "browsers listen."), art=neighbours, notes=(
        "Leave the site as it is. It tells the Bayeux server what happened, with one request, and "
        "the server tells everybody who is listening, ten thousand of them if need be.")),
    Slide("Three lines to embed,\none to speak", (), (
        "bayeux = BayeuxService()", "bayeux.setServiceParent(application)",
        'root.putChild(b"bayeux", bayeux.resource)',
        'bayeux.hub.publish("/news", "Hello")'), notes=(
        "Any Twisted application can carry it: it is one service and one resource. Run it alone "
        "with twistd bayeux when there is no such application.")),
    Slide("You are\nwatching it", ("This slide came on", "/slideshow/current.", "",
                                   "Its address is random:", "nobody could peek."),
          art=lambda: comet(1330, 330, 0.8, -35), notes=(
        "Each slide has a random address, made when the server started. Viewers learn it when the "
        "slide is shown, and not before. Whoever comes late asks a service for the current one.")),
    Slide("Now make\nyour own", ("Copy the folder, change DECK,", "and speak."),
          ("cp -r demo/slideshow talk", "python talk/server.py"),
          art=lambda: comet(1400, 200, 0.7, -8), notes=(
        "Every demo is a folder that stands alone: a server of a few dozen lines, a page, a style "
        "sheet and a module. Copy the one that is nearest to what you need.")),
)


def draw(number: int, deck: tuple[Slide, ...] = DECK) -> bytes:
    """Return slide ``number`` of the deck, counted from 1, as SVG."""
    slide = deck[number - 1]
    return "".join((
        '<svg xmlns="http://www.w3.org/2000/svg" '
        'width="1600" height="900" viewBox="0 0 1600 900">',
        f"<title>{escape(' '.join(slide.title.split()))}</title>",
        f'<rect width="1600" height="900" fill="{NIGHT}"/><g font-family="{SANS}">',
        slide.art(), hem(number, len(deck)), *_words(slide), "</g></svg>")).encode()


def _words(slide: Slide) -> Iterable[str]:
    """Yield title, lines and code, set from the bottom upwards so that art has the sky."""
    rows = [(line, 106, 112, LINEN, 'font-weight="700"') for line in slide.title.split("\n")]
    rows += [(line, 54, 76, ASH, "") for line in slide.lines]
    rows += [("", 54, 26, ASH, "")] * bool(slide.lines and slide.code)
    rows += [(line, 50, 76, OCHRE, CODE) for line in slide.code]
    y = 748 - sum(height for _, _, height, _, _ in rows[:-1])
    for line, size, height, colour, extra in rows:
        yield text(80, y, line, size, colour, extra)
        y += height
