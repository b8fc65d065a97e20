// Puts the page together and listens to the keyboard. Each part of the page is a file of its own.

import { comparisonSection, trendSection } from './comparison';
import { loadData, type PageData } from './data';
import { h, replace } from './dom';
import { findingsSection } from './findings';
import { Flame } from './flame';
import { Heatmap } from './heatmap';
import { headerSection } from './header';
import { State, type Theme, type What } from './state';
import { recommendationsSection, summarySection } from './summary';
import { tablesSections } from './tables';
import { Timeline } from './timeline';
import { Traces } from './traces';
import './style.css'; // after the libraries', which it amends

const kKeys: [string, string][] = [
  ['/', 'search the flame graph'],
  ['Esc', 'forget the search, the zoom and the chosen finding'],
  ['0', 'the whole run'],
  ['1 2 3 4 5', 'CPU, allocated, live, retained, waiting'],
  ['C', 'copy the stack zoomed to'],
  ['T', 'light or dark'],
  ['?', 'this'],
];

function applyTheme(theme: Theme): void {
  const root = document.documentElement;
  if (theme === 'auto') root.removeAttribute('data-theme');
  else root.setAttribute('data-theme', theme);
}

function help(): HTMLDialogElement {
  const dialog = h(
    'dialog',
    { id: 'help', 'aria-label': 'Keys' },
    h('h2', {}, 'Keys'),
    h('dl', {}, ...kKeys.flatMap(([key, what]) => [h('dt', {}, ...key.split(' ').map((k) => h('kbd', {}, k))), h('dd', {}, what)])),
    h('p', { class: 'hint' }, 'Drag across a chart to choose a range of time; click a frame to zoom to it, a finding to see where and when.'),
    h('form', { method: 'dialog' }, h('button', {}, 'Close')),
  );
  return dialog;
}

/** Where to jump to on a long page. */
function contents(parts: HTMLElement[]): HTMLElement {
  const links = parts.filter((part) => part.id && part.getAttribute('aria-label')).map((part) => {
    const go = () => part.scrollIntoView({ block: 'start' });
    return h('button', { type: 'button', onclick: go }, part.getAttribute('aria-label')!);
  });
  return h('nav', { class: 'contents', 'aria-label': 'Parts of this page' }, ...links);
}

function start(page: PageData): void {
  const state = new State();
  applyTheme(state.view.theme);
  document.title = `${page.report?.verdict ? `${page.report.verdict}: ` : ''}${page.run.command || page.run.file} · camprobe`.slice(0, 200);

  const timeline = new Timeline(page, state);
  const heat = new Heatmap(page, state);
  const flame = new Flame(page, state);
  const traces = new Traces(page);
  const keys = help();
  const app = document.getElementById('app')!;
  const parts = [
    page.report && summarySection(page),
    recommendationsSection(page, state),
    findingsSection(page, state),
    comparisonSection(page),
    trendSection(page),
    timeline.element,
    heat.element,
    flame.element,
    traces.element,
    ...tablesSections(page),
  ].filter((part): part is HTMLElement => Boolean(part));
  replace(app, headerSection(page, state), contents(parts), h('main', {}, ...parts), keys);
  document.getElementById('help-button')?.addEventListener('click', () => keys.showModal());

  const recolour = () => {
    applyTheme(state.view.theme);
    const chooser = document.getElementById('theme') as HTMLSelectElement | null;
    if (chooser) chooser.value = state.view.theme;
    timeline.redraw();
    heat.redraw();
    flame.redraw();
    traces.redraw();
  };
  state.listen((_view, changed) => changed.has('theme') && recolour());
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);

  const whats: What[] = ['cpu', 'alloc', 'live', 'retained', 'wait'];
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    const target = event.target as HTMLElement;
    const typing = target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
    if (event.key === 'Escape') {
      flame.reset();
      target.blur();
    } else if (typing) {
      return;
    } else if (event.key === '/') {
      event.preventDefault();
      flame.focusSearch();
    } else if (event.key === '0') {
      state.set({ range: null });
    } else if (/^[1-5]$/.test(event.key)) {
      state.set({ what: whats[Number(event.key) - 1]!, node: 0 });
    } else if (event.key === 'c' || event.key === 'C') {
      flame.copyStack();
    } else if (event.key === 't' || event.key === 'T') {
      const dark = getComputedStyle(document.documentElement).getPropertyValue('--is-dark').trim() === '1';
      state.set({ theme: dark ? 'light' : 'dark' });
    } else if (event.key === '?') {
      keys.showModal();
    }
  });
  // On paper nothing can be opened.
  addEventListener('beforeprint', () => document.querySelectorAll('#recommendations details').forEach((details) => details.setAttribute('open', '')));
  document.documentElement.setAttribute('data-ready', 'true');
}

loadData().then(start, (why: unknown) => {
  const app = document.getElementById('app');
  if (app) replace(app, h('p', { class: 'loading' }, why instanceof Error ? why.message : String(why)));
});
