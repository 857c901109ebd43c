// A path such as spec.template.spec.tolerations, which no page spells out, is looked for by its parts.
(() => {
  if (!window.elasticlunr) return;
  const search = elasticlunr.Index.prototype.search;
  elasticlunr.Index.prototype.search = function (query, options) {
    const whole = search.call(this, query, options);
    return whole.length ? whole : search.call(this, query.replace(/[^\p{L}\p{N}_]+/gu, " "), options);
  };
})();
