#!/usr/bin/env python3
"""A guest book in Django, in one file: a comment is saved, and appears on every page that is open.

    python django_view.py               # http://127.0.0.1:8000/, or another address as the argument

In a site of your own, ``guest_book`` and ``tell`` are what it takes, with publish.py beside them.  Settings
come from the environment: those of publish.py, and BAYEUX_PUBLIC_URL if browsers have another address for
the server than the site has.
"""

import logging
import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.management.utils import get_random_secret_key
from publish import PublishError, publish

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY") or get_random_secret_key(),
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3",
                           "NAME": os.environ.get("DATABASE", "guestbook.sqlite3")}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    BAYEUX_PUBLIC_URL=os.environ.get("BAYEUX_PUBLIC_URL") or os.environ["BAYEUX_URL"],
)
django.setup()

from django.db import connection, models, transaction  # noqa: E402 - after setup(), as Django wants it
from django.forms import modelform_factory  # noqa: E402 - as above
from django.http import HttpResponse  # noqa: E402 - as above
from django.shortcuts import redirect  # noqa: E402 - as above
from django.template import engines  # noqa: E402 - as above
from django.urls import path  # noqa: E402 - as above


class Comment(models.Model):
    """What somebody has written."""

    name = models.CharField(max_length=40)
    text = models.CharField(max_length=1000)

    class Meta:
        app_label = "guestbook"


def guest_book(request):
    """Show all comments, and save new ones; what is told is what has been committed."""
    form = modelform_factory(Comment, fields=["name", "text"])(request.POST or None)
    if form.is_valid():
        with transaction.atomic():
            comment = form.save()
            transaction.on_commit(lambda: tell(comment))
        return redirect("/")
    values = {"comments": Comment.objects.order_by("id"), "form": form, "bayeux": settings.BAYEUX_PUBLIC_URL}
    return HttpResponse(engines["django"].from_string(PAGE).render(values, request))


def tell(comment):
    """Publish a comment to the pages that are open; it is saved, whether that succeeds or not."""
    try:
        publish("/comments/guestbook", {"id": comment.id, "name": comment.name, "text": comment.text})
    except (PublishError, OSError) as problem:
        logging.warning("comment %s is not published: %s", comment.id, problem)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Guest book</title>
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>
  body { font: 1.2rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }
  form { display: grid; gap: .6rem } form div { display: grid } input, button { font: inherit; padding: .4em }
  button { justify-self: start; padding: .4em 1.2em } li { overflow-wrap: anywhere }
</style>
<h1>Guest book</h1>
<ol>{% for comment in comments %}
  <li data-id="{{ comment.id }}"><b>{{ comment.name }}</b> <span>{{ comment.text }}</span></li>{% endfor %}
</ol>
<form method="post">{% csrf_token %}{{ form.as_div }}<button>Write</button></form>
<script type="module">
  import { init } from "{{ bayeux|escapejs }}/client.js";
  init().subscribe("/comments/guestbook", ({ id, name, text }) => {
    if (document.querySelector(`[data-id="${Number(id)}"]`)) return; // it was there when the page came
    const line = document.createElement("li");
    line.dataset.id = id;
    line.append(Object.assign(document.createElement("b"), { textContent: name }), ` ${text}`);
    document.querySelector("ol").append(line);
  });
</script></html>"""

urlpatterns = [path("", guest_book)]

if __name__ == "__main__":
    if Comment._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Comment)
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", *sys.argv[1:]])
