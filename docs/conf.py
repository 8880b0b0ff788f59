"""How the documentation is built: ``sphinx-build -W -n -b html docs OUT``.

It needs no network. What is generated from the code is made by ``_ext/from_code.py``.
"""

import re
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from from_code import without_ids  # noqa: E402 - it is found only now

import bayeux  # noqa: E402 - as above

project = "txbayeux"
author = "the txbayeux contributors"
copyright = f"2026, {author}"
version = release = bayeux.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosectionlabel", "from_code"]
autosectionlabel_prefix_document = True
exclude_patterns = ["_build", "changelog.d"]
highlight_language = "text"
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(collections|datetime|http|msgspec|treq|twisted|types|typing)\..*"),  # of others
    ("py:class", r"bayeux\.(credentials|exchange|tables|session)\..*"),  # where nothing is for applications
    ("py:class", r"bayeux\.messages\.(Advice|Authenticated|Encoded|Rejected)"),
    ("py:class", "Authorizer"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
add_module_names = False

html_theme = "furo"
html_title = f"txbayeux {version}"
html_static_path = ["_static"]
html_css_files = ["txbayeux.css"]
html_favicon = "../demo/icon.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {
        "color-brand-primary": "#12707f",
        "color-brand-content": "#12707f",
        "color-brand-visited": "#4d5f86",
    },
    "dark_css_variables": {
        "color-brand-primary": "#62c6cf",
        "color-brand-content": "#62c6cf",
        "color-brand-visited": "#a7b7dd",
    },
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"


def setup(app):
    """Make of docstrings what readers want to see."""
    app.connect("autodoc-process-docstring", clean)


def clean(app, what, name, obj, options, lines):
    """Leave the ids of requirements out, and show the hierarchies of errors as they are drawn."""
    text = without_ids("\n".join(lines))
    if what == "module":
        text = re.sub(r"(?m)^(``\w+`` {3}.*(?:\n *``\w+`` {3}.*)*)$",
                      lambda tree: "::\n\n" + textwrap.indent(tree[1].replace("``", ""), "    "), text)
    lines[:] = text.split("\n")
