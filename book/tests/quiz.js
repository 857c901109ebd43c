// Answers the quiz of a page as a reader would, and says in the title what went wrong.
addEventListener("load", () => {
  const fail = what => {
    throw new Error(what);
  };
  const expect = (yes, what) => yes || fail(what);
  const score = () => document.querySelector(".quiz-score").textContent;
  const change = (input, value) => {
    if (input.type === "radio" || input.type === "checkbox") {
      if (input.checked !== value) input.click();
    } else {
      input.value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }
  };
  /** Fills in one right or one wrong answer, from what is folded away. */
  const fill = (field, right) => {
    const inputs = [...field.querySelectorAll("input, select")];
    const options = [...field.querySelectorAll("details [data-is=right]")].map(text => text.dataset.option);
    switch (field.dataset.kind) {
      case "radio":
        return change(inputs.find(input => options.includes(input.value) === right), true);
      case "checkbox":
        // One too few is partly right, all that are wrong is wrong.
        return inputs.forEach(input => change(input, options.includes(input.value) === right));
      case "number": {
        const paragraph = field.querySelector(`details [data-is=${right ? "right" : "wrong"}]`);
        return change(inputs[0], paragraph.dataset.number);
      }
      default: {
        const order = [...field.querySelectorAll(".quiz-order li")].map(item => item.dataset.option);
        if (!right) order.reverse();
        return inputs.forEach(input => change(input, String(order.indexOf(input.dataset.option) + 1)));
      }
    }
  };
  try {
    const fields = [...document.querySelectorAll(".quiz fieldset")];
    const check = field => field.querySelector(".quiz-button").click();
    const result = field => field.querySelector(".quiz-result");
    const verdict = field => result(field).dataset.verdict;
    if (sessionStorage.getItem("read again")) {
      expect(score() === `${fields.length} of ${fields.length} right`, `${score()} when the page is read again`);
      expect(fields.every(field => verdict(field) === "right"), "verdicts are there when the page is read again");
      document.querySelector(".quiz-head .quiz-button").click();
      const chosen = document.querySelector(".quiz input:checked");
      expect(score() === `0 of ${fields.length} right` && !chosen, "begun again");
      document.title = "all as it should be";
      return;
    }
    expect(score() === `0 of ${fields.length} right`, score());
    let done = 0;
    for (const field of fields) {
      const name = field.dataset.name;
      check(field);
      expect(!verdict(field) && result(field).textContent, `${name}: nothing was answered`);
      fill(field, false);
      check(field);
      expect(verdict(field) === "wrong", `${name}: a wrong answer is ${verdict(field)}`);
      const why = field.querySelector("details [data-is=right]").textContent;
      expect(result(field).textContent.includes(why), `${name}: says why the right one is right`);
      expect(result(field).querySelector("[data-is=wrong]"), `${name}: says why the wrong one is wrong`);
      if (field.dataset.kind === "checkbox") {
        fill(field, true);
        const one = field.querySelector("input:checked");
        change(one, false);
        if (field.querySelectorAll("input").length > 2) {
          check(field);
          expect(["partly", "wrong"].includes(verdict(field)), `${name}: one is missing, ${verdict(field)}`);
        }
      }
      fill(field, true);
      expect(!verdict(field), `${name}: another answer, and no verdict yet`);
      check(field);
      expect(verdict(field) === "right", `${name}: a right answer is ${verdict(field)}`);
      expect(!result(field).querySelector("[data-is=wrong]"), `${name}: nothing was wrong`);
      expect(result(field).getAttribute("role") === "status", `${name}: is read aloud`);
      done += 1;
      expect(score() === `${done} of ${fields.length} right`, score());
    }
    const order = fields.find(field => field.dataset.kind === "order");
    if (order) {
      const [first, second] = order.querySelectorAll("select");
      const [a, b] = [first.value, second.value];
      change(first, b);
      expect(second.value === a, "two that want one place change places");
      fill(order, true);
      check(order);
    }
    sessionStorage.setItem("read again", "yes");
    location.reload();
  } catch (error) {
    document.title = error.message;
  }
});
