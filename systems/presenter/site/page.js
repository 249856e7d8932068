"use strict";

const PAGE = 10;
const KEPT_TOKEN = "presenter.token";
// After a post: how long to look for it, and how often at first.
const LOOK_FOR = 20000;
const LOOK_EVERY = 250;

const find = (id) => document.getElementById(id);
const tokenForm = find("token-form");
const tokenField = find("token");
const postForm = find("post-form");
const list = find("items");
const older = find("older");
const refresh = find("refresh");

// What a change of the token makes worthless: an answer to the one before must not be shown.
let era = 0;
let next = null;
let shown = [];

class Refused extends Error {
  constructor(text, status, errors) {
    super(text);
    this.status = status;
    this.errors = errors;
  }
}

function token() {
  return sessionStorage.getItem(KEPT_TOKEN) ?? "";
}

function say(id, text, kind = "") {
  const place = find(id);
  place.textContent = text;
  place.className = kind ? `notice ${kind}` : "notice";
}

async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      ...options,
      headers: { ...options.headers, Authorization: `Bearer ${token()}` },
      cache: "no-store",
      credentials: "omit",
    });
  } catch {
    throw new Refused("The server cannot be reached. Is it running?", 0, []);
  }
  if (answer.ok) return answer;
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // Not a problem document, as a proxy may answer: the status has to do.
  }
  const title = problem.title ?? `The server answered ${answer.status}`;
  const detail = problem.detail && problem.detail !== title ? `: ${problem.detail}` : "";
  const wait = answer.headers.get("Retry-After");
  const later = wait ? ` Try again in ${wait} seconds.` : "";
  throw new Refused(`${title}${detail}.${later}`.replace("..", "."), answer.status, problem.errors ?? []);
}

function same(one, other) {
  return ["User", "Date", "InformationOne", "InformationTwo"].every((name) => one[name] === other[name]);
}

function row(item, isNew) {
  const entry = document.createElement("li");
  if (isNew) entry.className = "new";
  const time = document.createElement("time");
  time.dateTime = item.Date;
  time.textContent = new Date(item.Date).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  entry.append(time);
  for (const text of [item.InformationOne, item.InformationTwo]) {
    const line = document.createElement("p");
    line.textContent = text;
    entry.append(line);
  }
  return entry;
}

function draw(fresh = []) {
  list.replaceChildren(...shown.map((item) => row(item, fresh.some((other) => same(item, other)))));
  older.hidden = next === null;
  refresh.hidden = token() === "";
}

function count() {
  if (shown.length === 0) return "Nothing yet.";
  const entries = shown.length === 1 ? "1 entry" : `${shown.length} entries`;
  return next === null ? `${entries}, the newest first.` : `The newest ${entries}; there are older ones.`;
}

// The page of items at an address, and the address of the following one: the Link header (RFC 8288).
async function read(address) {
  const answer = await call(address);
  const link = /<([^>]*)>;\s*rel="next"/.exec(answer.headers.get("Link") ?? "");
  // Of the link only the query is taken, so that a token is never sent to another place.
  const following = link === null ? null : `data${new URL(link[1], answer.url).search}`;
  return { items: await answer.json(), following };
}

function fail(id, error) {
  if (!(error instanceof Refused)) throw error;
  say(id, error.message, "problem");
}

// Of readings that overlap, the one that was asked for last is shown, in whatever order they end.
let reading = 0;

async function showNewest() {
  const mine = era;
  const turn = ++reading;
  if (token() === "") {
    shown = [];
    next = null;
    draw();
    say("list-notice", "Give a token to see it.");
    return;
  }
  try {
    const page = await read(`data?limit=${PAGE}`);
    if (mine !== era || turn !== reading) return;
    shown = page.items;
    next = page.following;
    draw();
    say("list-notice", count());
  } catch (error) {
    if (mine === era) fail("list-notice", error);
  }
}

async function showOlder() {
  const mine = era;
  const turn = ++reading;
  const before = shown.length;
  try {
    const page = await read(next);
    if (mine !== era || turn !== reading) return;
    shown = shown.concat(page.items);
    next = page.following;
    draw();
    say("list-notice", count());
    // The button may be gone now; whoever reads with a keyboard goes on at the first entry that was added.
    const first = list.children[before];
    if (first !== undefined) {
      first.tabIndex = -1;
      first.focus();
    }
  } catch (error) {
    if (mine === era) fail("list-notice", error);
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Reads the newest page again and again until it has an entry that is not among those of `before`.
async function lookFor(body, before, mine) {
  const until = Date.now() + LOOK_FOR;
  let wait = LOOK_EVERY;
  while (mine === era && Date.now() < until) {
    const page = await read(`data?limit=${PAGE}`);
    if (mine !== era) return;
    const fresh = page.items.filter((item) => !before.some((other) => same(item, other)));
    if (fresh.some((item) => item.InformationOne === body.informationOne && item.InformationTwo === body.informationTwo)) {
      reading += 1;
      shown = page.items;
      next = page.following;
      draw(fresh);
      say("list-notice", count());
      say("post-notice", "Stored. It is marked below.", "good");
      return;
    }
    await pause(wait);
    wait = Math.min(wait * 1.5, 2000);
  }
  if (mine === era) say("post-notice", "It was taken, and is not stored yet. Refresh the list in a while.");
}

function clearFields() {
  for (const id of ["one", "two"]) {
    find(id).removeAttribute("aria-invalid");
    find(id).removeAttribute("aria-describedby");
    find(`${id}-problem`).textContent = "";
  }
}

function blame(id, text) {
  find(id).setAttribute("aria-invalid", "true");
  find(id).setAttribute("aria-describedby", `${id}-problem`);
  find(`${id}-problem`).textContent = text;
}

function blameAll(faults) {
  for (const [id, text] of faults) blame(id, text);
  if (faults.length > 0) find(faults[0][0]).focus();
}

async function post() {
  const mine = era;
  const one = find("one");
  const two = find("two");
  clearFields();
  if (token() === "") {
    say("post-notice", "Give a token first.", "problem");
    tokenField.focus();
    return;
  }
  const empty = [["one", one], ["two", two]].filter(([, field]) => field.value.trim() === "");
  if (empty.length > 0) {
    say("post-notice", "");
    blameAll(empty.map(([id]) => [id, "Fill this in."]));
    return;
  }
  const body = { informationOne: one.value, informationTwo: two.value };
  const before = shown.slice();
  say("post-notice", "Posting…");
  try {
    await call("data", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (mine !== era) return;
    postForm.reset();
    one.focus();
    say("post-notice", "Taken. Waiting until it is stored…");
  } catch (error) {
    if (mine !== era) return;
    fail("post-notice", error);
    const fields = { "body.informationOne": "one", "body.informationTwo": "two" };
    blameAll(error.errors.filter((e) => e.field in fields).map((e) => [fields[e.field], e.message]));
    return;
  }
  try {
    await lookFor(body, before, mine);
  } catch (error) {
    // It was taken all the same: a token may be good for writing and not for reading.
    if (!(error instanceof Refused)) throw error;
    if (mine === era) say("post-notice", `It was taken, and cannot be shown. ${error.message}`, "problem");
  }
}

// One press does one thing; the button stays in place and keeps the focus meanwhile.
function guarded(button, work) {
  let running = false;
  return async () => {
    if (running) return;
    running = true;
    button.setAttribute("aria-disabled", "true");
    try {
      await work();
    } finally {
      running = false;
      button.removeAttribute("aria-disabled");
    }
  };
}

// What the token says of itself, for people to read; who checks it is the server.
function described(value) {
  let claims;
  try {
    const payload = value.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (c) => c.charCodeAt(0))));
  } catch {
    return "In use.";
  }
  const roles = [claims.Role ?? []].flat();
  const until = new Date(claims.exp * 1000);
  const user = typeof claims.sub === "string" ? claims.sub : "nobody";
  const what = roles.length > 0 ? `with ${roles.join(" and ")}` : "without any role";
  const limit = Number.isNaN(until.getTime()) ? "" : `, until ${until.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}`;
  return `In use: ${user}, ${what}${limit}.`;
}

function useToken(value) {
  era += 1;
  if (value === "") sessionStorage.removeItem(KEPT_TOKEN);
  else sessionStorage.setItem(KEPT_TOKEN, value);
  shown = [];
  next = null;
  draw();
  say("post-notice", "");
  clearFields();
}

tokenForm.addEventListener("submit", (event) => {
  event.preventDefault();
  // People copy the header with the token.
  const value = tokenField.value.trim().replace(/^(Authorization:\s*)?Bearer\s+/i, "").replace(/\s+/g, "");
  if (value === "") {
    say("token-notice", "Paste a token first.", "problem");
    tokenField.focus();
    return;
  }
  if (!/^[\x21-\x7e]+$/.test(value)) {
    say("token-notice", "This is not a token: it has characters that no token has.", "problem");
    tokenField.focus();
    return;
  }
  // It is a secret: it need not stay where others can read it.
  tokenField.value = "";
  useToken(value);
  say("token-notice", described(value), "good");
  showNewest();
});

find("forget").addEventListener("click", () => {
  tokenField.value = "";
  useToken("");
  say("token-notice", "Forgotten.");
  showNewest();
  tokenField.focus();
});

const submit = guarded(postForm.querySelector("button"), post);
postForm.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
older.addEventListener("click", guarded(older, showOlder));
refresh.addEventListener("click", guarded(refresh, showNewest));

if (token() !== "") say("token-notice", described(token()), "good");
showNewest();
