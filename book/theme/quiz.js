// The quiz of a page. Without this script it is a form whose answers are folded away; with it, it checks what was answered,
// from what the folded answers say, and remembers it in this browser.
(() => {
  const load = page => {
    try {
      return JSON.parse(localStorage.getItem("quiz:" + page)) ?? {};
    } catch {
      return {};
    }
  };
  const keep = (page, state) => {
    try {
      localStorage.setItem("quiz:" + page, JSON.stringify(state));
    } catch {
      // A browser that keeps nothing still checks.
    }
  };
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    element.className = className;
    element.append(...children);
    return element;
  };
  const button = text => {
    const element = make("button", "quiz-button", text);
    element.type = "button";
    return element;
  };

  /** One question: its fields, and what its folded answer says. */
  class Question {
    constructor(field) {
      this.name = field.dataset.name;
      this.kind = field.dataset.kind;
      this.version = field.dataset.version;
      this.inputs = [...field.querySelectorAll("input, select")];
      this.items = [...field.querySelectorAll(".quiz-options > li")];
      const folded = field.querySelector("details");
      this.right = [...folded.querySelectorAll("[data-is=right]")];
      this.wrong = [...folded.querySelectorAll("[data-is=wrong]")];
      this.order = folded.querySelector(".quiz-order");
      this.check = button("Check");
      this.result = make("div", "quiz-result");
      folded.before(this.check, this.result);
    }

    /** What was answered: letters in their order, or a number; nothing while something is missing. */
    answer() {
      if (this.kind === "number") return this.inputs[0].value;
      if (this.kind !== "order") return this.inputs.filter(input => input.checked).map(input => input.value).join("");
      if (this.inputs.some(input => input.value === "")) return "";
      const sorted = [...this.inputs].sort((a, b) => a.value - b.value);
      return sorted.map(input => input.dataset.option).join("");
    }

    fill(answer) {
      for (const input of this.inputs) {
        if (this.kind === "number") input.value = answer;
        else if (this.kind === "order") input.value = answer ? answer.indexOf(input.dataset.option) + 1 : "";
        else input.checked = answer.includes(input.value);
      }
    }

    /** The verdict on an answer, and the paragraphs that belong to it. */
    judge(answer) {
      if (this.kind === "number") {
        const give = Number(this.right[0].dataset.give) + 1e-9;
        const near = text => Math.abs(Number(answer) - Number(text.dataset.number)) <= give;
        return near(this.right[0])
          ? ["right", this.right]
          : ["wrong", [...this.wrong.filter(near).slice(0, 1), ...this.right]];
      }
      if (this.kind === "order") {
        const sorted = [...this.order.children].map(item => item.dataset.option).join("");
        if (answer === sorted) return ["right", this.right];
        const place = letter => answer.indexOf(letter);
        const turned = this.wrong.filter(text => place(text.dataset.before) < place(text.dataset.after));
        return ["wrong", [...turned, this.order, ...this.right]];
      }
      const mistaken = this.wrong.filter(text => answer.includes(text.dataset.option));
      const missed = this.right.filter(text => !answer.includes(text.dataset.option));
      const well = this.inputs.length - mistaken.length - missed.length;
      // As in an interview: half of the options are right by chance.
      const partly = this.kind === "checkbox" && 2 * well > this.inputs.length;
      const verdict = mistaken.length + missed.length === 0 ? "right" : partly ? "partly" : "wrong";
      return [verdict, [...mistaken, ...this.right]];
    }

    /** Shows what an answer is worth, and returns the verdict. */
    show(answer) {
      this.clear();
      const [verdict, texts] = this.judge(answer);
      const title = { right: "Right.", partly: "Partly right.", wrong: "Wrong." }[verdict];
      this.result.dataset.verdict = verdict;
      this.result.append(make("p", "quiz-verdict", title), ...texts.map(text => text.cloneNode(true)));
      if (this.kind !== "radio" && this.kind !== "checkbox") return verdict;
      const right = this.right.map(text => text.dataset.option);
      this.items.forEach((item, i) => {
        const letter = this.inputs[i].value;
        if (right.includes(letter)) item.dataset.mark = "right";
        else if (answer.includes(letter)) item.dataset.mark = "wrong";
      });
      return verdict;
    }

    clear() {
      this.result.replaceChildren();
      delete this.result.dataset.verdict;
      for (const item of this.items) delete item.dataset.mark;
    }

    ask() {
      const missing = { radio: "Choose an option.", checkbox: "Choose one or more.", number: "Enter a number." };
      this.clear();
      this.result.append(make("p", "", missing[this.kind] ?? "Give each a place."));
    }

    /** Two things can't have one place: the other one takes the place that became free. */
    swap(select) {
      const other = this.inputs.find(input => input !== select && input.value === select.value);
      if (other && select.value !== "") other.value = this.before.get(select) ?? "";
      this.remember();
    }

    remember() {
      this.before = new Map(this.inputs.map(input => [input, input.value]));
    }
  }

  for (const quiz of document.querySelectorAll(".quiz")) {
    const page = quiz.dataset.page;
    const questions = [...quiz.querySelectorAll("fieldset")].map(field => new Question(field));
    let state = load(page);
    const verdicts = new Map();
    const score = make("span", "quiz-score");
    const again = button("Start again");
    quiz.prepend(make("div", "quiz-head", score, again));
    const count = () => {
      const right = [...verdicts.values()].filter(verdict => verdict === "right").length;
      score.textContent = `${right} of ${questions.length} right`;
      again.hidden = verdicts.size === 0;
    };
    const settle = (question, answer) => {
      verdicts.set(question.name, question.show(answer));
      state[question.name] = { version: question.version, answer };
    };
    const forget = question => {
      question.clear();
      verdicts.delete(question.name);
      delete state[question.name];
    };
    for (const question of questions) {
      const kept = state[question.name];
      if (kept?.version === question.version && typeof kept.answer === "string") {
        question.fill(kept.answer);
        settle(question, kept.answer);
      } else {
        delete state[question.name];
      }
      question.remember();
      // From now on changes are read aloud.
      question.result.setAttribute("role", "status");
      const check = () => {
        const answer = question.answer();
        if (answer === "") return question.ask();
        settle(question, answer);
        keep(page, state);
        count();
      };
      question.check.addEventListener("click", check);
      for (const input of question.inputs) {
        input.addEventListener("keydown", event => {
          if (event.key === "Enter" && input.tagName === "INPUT") check();
        });
        input.addEventListener("input", () => {
          if (question.kind === "order") question.swap(input);
          forget(question);
          keep(page, state);
          count();
        });
      }
    }
    again.addEventListener("click", () => {
      for (const question of questions) {
        question.fill("");
        question.remember();
        forget(question);
      }
      keep(page, state);
      count();
      questions[0].inputs[0].focus();
    });
    count();
    score.setAttribute("role", "status");
  }

  // On paper nothing can be unfolded.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".quiz details:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });
})();
