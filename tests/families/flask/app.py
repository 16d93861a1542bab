"""A small site: / is plain, /page comes from a database through a template, /add writes. $DATABASE: a file of SQLite, or PostgreSQL's words."""
import os
import sqlite3
import time

from flask import Flask, abort, g, jsonify, redirect, render_template, request, session

app = Flask(__name__)
app.secret_key = "secret"
DATABASE = os.environ.get("DATABASE", "/tmp/app.db")
SERVER = "=" in DATABASE  # PostgreSQL's words
if SERVER:
    import psycopg2


def database():
    if "db" not in g:
        g.db = psycopg2.connect(DATABASE) if SERVER else sqlite3.connect(DATABASE, timeout=60)
    return g.db


@app.teardown_appcontext
def close(_):
    db = g.pop("db", None)
    if db is not None:
        db.close()


def query(sql, *args):
    cursor = database().cursor()
    cursor.execute(sql.replace("?", "%s") if SERVER else sql, args)
    return cursor


@app.route("/")
def hello():
    return "hello\n"


@app.route("/pid")
def pid():
    return f"{os.getpid()}\n"


@app.route("/setup")
def setup():
    query("create table item (id integer primary key, name text, price integer)")
    for i in range(50):
        query("insert into item values (?, ?, ?)", i, f"item <{i}>", i * i)
    query("create table visit (who text, at integer)")
    database().commit()
    return "made\n"


@app.route("/page")
def page():
    rows = query("select id, name, price from item where id >= ? order by price desc limit 20", int(request.args.get("from", 0))).fetchall()
    return render_template("page.html", rows=rows, title="Items")


@app.route("/add/<who>", methods=["POST"])
def add(who):
    query("insert into visit values (?, ?)", who, int(request.form["at"]))
    database().commit()
    return jsonify(added=who)


@app.route("/visits")
def visits():
    return jsonify(query("select who, count(*), sum(at) from visit group by who order by who").fetchall())


@app.route("/count")
def count():
    session["n"] = session.get("n", 0) + 1
    return f"{session['n']}\n"


@app.route("/upload", methods=["POST"])
def upload():
    return f"{len(request.files['file'].read())}\n"


@app.route("/stream")
def stream():
    def parts():
        for i in range(200):
            yield f"part {i} " + "x" * 1000 + "\n"
    return app.response_class(parts(), mimetype="text/plain")


@app.route("/sleep")
def sleep():
    time.sleep(0.5)
    return "slept\n"


@app.route("/forever")
def forever():
    while True:
        pass


@app.route("/old")
def old():
    return redirect("/")


@app.route("/refused")
def refused():
    abort(403)


@app.route("/error")
def error():
    return str(1 // 0)
