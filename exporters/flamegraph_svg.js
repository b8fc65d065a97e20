// exporters/flamegraph_svg.js: what makes the SVG of flamegraph_svg.cc answer. Every frame is a <g class="f"> that carries
// data-x and data-w (its place, in millionths of the whole) and data-d (its depth); this script only moves them.
'use strict';
(() => {
  const svg = document.documentElement;
  const kRow = 18, kTop = 62, kSide = 10, kWhole = 1e6, kCharacter = 7.1;
  const frames = [...document.querySelectorAll('.f')].map((g) => ({
    g,
    rect: g.querySelector('rect'),
    text: g.querySelector('text'),
    name: g.getAttribute('data-n'),
    about: g.querySelector('title').textContent,
    x: +g.getAttribute('data-x'),
    w: +g.getAttribute('data-w'),
    d: +g.getAttribute('data-d'),
  }));
  const about = document.getElementById('about');
  const matched = document.getElementById('matched');
  const foot = document.getElementById('foot');
  const searchBox = document.getElementById('search-box');
  const box = document.getElementById('search');
  const reset = document.getElementById('reset');
  let view = frames[0];

  const fitted = (name, width) => {
    const most = Math.floor((width - 8) / kCharacter);
    return most < 3 ? '' : name.length <= most ? name : name.slice(0, most - 1) + '…';
  };
  const inside = (f) => f.x >= view.x - 0.5 && f.x + f.w <= view.x + view.w + 0.5;
  const above = (f) => f.d < view.d && f.x <= view.x + 0.5 && f.x + f.w >= view.x + view.w - 0.5;

  function layout() {
    const width = Math.max(200, svg.clientWidth || innerWidth || 1200) - 2 * kSide;
    let lowest = 0;
    for (const f of frames) {
      const up = above(f);
      const w = up ? width : (f.w / view.w) * width;
      const shown = (up || (inside(f) && f.d >= view.d)) && w >= 0.4;
      f.g.style.display = shown ? '' : 'none';
      if (!shown) continue;
      lowest = Math.max(lowest, f.d);
      const x = kSide + (up ? 0 : ((f.x - view.x) / view.w) * width);
      f.rect.setAttribute('x', x.toFixed(2));
      f.rect.setAttribute('width', Math.max(0.4, w - 0.6).toFixed(2));
      f.text.setAttribute('x', (x + 4).toFixed(2));
      f.text.textContent = fitted(f.name, w);
      f.g.classList.toggle('up', up);
    }
    const height = kTop + (lowest + 1) * kRow + 34;
    svg.setAttribute('height', String(height));
    about.setAttribute('y', String(height - 20));
    foot.setAttribute('y', String(height - 6));
    const room = Math.max(80, Math.min(320, width - 190));
    searchBox.setAttribute('width', String(room));
    matched.setAttribute('x', String(+searchBox.getAttribute('x') + room + 10));
    reset.classList.toggle('off', view === frames[0] && !box.value);
  }

  function zoom(f) {
    view = f;
    layout();
    tell(f);
  }

  function tell(f) {
    about.textContent = f ? f.about.replace(/\n/g, '  ·  ') : view === frames[0] ? '' : view.about.replace(/\n/g, '  ·  ');
  }

  function search() {
    const text = box.value;
    let test = null;
    if (text) {
      try {
        const pattern = new RegExp(text, 'i');
        test = (name) => pattern.test(name);
      } catch {
        test = (name) => name.toLowerCase().includes(text.toLowerCase());
      }
    }
    // Frames come parents first and from left to right, so one edge is enough to count a stack once.
    let sum = 0;
    const counted = [];
    for (const f of frames) {
      const hit = test !== null && f.d > 0 && test(f.name);
      f.g.classList.toggle('hit', hit);
      if (hit) counted.push(f);
    }
    counted.sort((a, b) => a.x - b.x || b.w - a.w);
    let edge = -1;
    for (const f of counted) {
      if (f.x + f.w <= edge + 0.5) continue;
      sum += f.w;
      edge = f.x + f.w;
    }
    svg.classList.toggle('searching', test !== null);
    matched.textContent = test === null ? '' : `${((100 * sum) / kWhole).toFixed(2).replace(/\.?0+$/, '')} % matched`;
    layout();
  }

  function forget() {
    box.value = '';
    search();
    zoom(frames[0]);
    box.blur();
  }

  for (const f of frames) {
    f.g.addEventListener('click', () => zoom(f));
    f.g.addEventListener('mouseenter', () => tell(f));
    f.g.addEventListener('mouseleave', () => tell(null));
    f.g.addEventListener('focus', () => tell(f));
    f.g.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') zoom(f);
    });
  }
  box.addEventListener('input', search);
  reset.addEventListener('click', forget);
  addEventListener('resize', layout);
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape') forget();
    else if (event.key === '/' && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
    }
  });
  svg.removeAttribute('viewBox');
  svg.classList.add('alive');
  layout();
})();
