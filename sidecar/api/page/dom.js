// Elements are made here and nowhere else. Whatever comes from a container (names, prompts, messages) enters the page as
// text: no function of this page takes HTML.

/** An element with attributes and children. A string child becomes text; null and false are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The element with this ID. */
export const at = (id) => document.getElementById(id);

/** Puts text into an element, only if it differs: screen readers say a status again whenever it is set. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Brings a parent's children in line with a list: each key keeps its element, so that focus and bars stay. */
export function keyed(parent, list, key, create, update) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let next = parent.firstElementChild;
  for (const one of list) {
    const name = String(key(one));
    let child = before.get(name);
    before.delete(name);
    if (!child) {
      child = create(one);
      child.dataset.key = name;
    }
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
    update(child, one);
  }
  for (const gone of before.values()) gone.remove();
}

/** Calls `work` soon, and at most once in so many milliseconds however often it is asked for. */
export function seldom(work, milliseconds) {
  let timer = 0;
  let last = -Infinity;
  return () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      last = performance.now();
      work();
    }, Math.max(0, last + milliseconds - performance.now()));
  };
}
