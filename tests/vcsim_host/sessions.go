package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// users are the names and passwords with which one can log in; none: any will do.
type users []*url.Userinfo

func (u *users) String() string { return fmt.Sprint(len(*u)) }

func (u *users) Set(text string) error {
	name, password, found := strings.Cut(text, ":")
	if !found {
		return fmt.Errorf("%q is not NAME:PASSWORD", text)
	}
	*u = append(*u, url.UserPassword(name, password))
	return nil
}

// admit lets only these users in. One of the simulator's endpoints decides that too, so this is the
// last of them.
func (u users) admit(service *simulator.Service) {
	if len(u) == 0 {
		return
	}
	// The simulator asks ValidLogin only if a user is named.
	service.Listen.User = u[0]
	simulator.RegisterEndpoint(func(_ *simulator.Service, registry *simulator.Registry) {
		registry.SessionManager().ValidLogin = u.valid
	})
}

func (u users) valid(login *types.Login) bool {
	given := url.UserPassword(login.UserName, login.Password).String()
	return slices.ContainsFunc(u, func(user *url.Userinfo) bool { return user.String() == given })
}

func expireSessions(service *simulator.Service, timeout time.Duration) {
	service.Context.Map.OptionManager().UpdateOptions(&types.UpdateOptions{
		ChangedValue: []types.BaseOptionValue{&types.OptionValue{
			Key: "config.vmacore.soap.sessionTimeout", Value: timeout.String(),
		}},
	})
}

// sessions are the users of the live sessions by the sessions' keys.
func (h *host) sessions() map[string]string {
	registry := h.service.Context.Map
	// Only a session's view of the manager has the list.
	view := &simulator.Session{Registry: simulator.NewRegistry(), Map: registry}
	manager := view.Get(registry.SessionManager().Self).(*simulator.SessionManager)
	users := map[string]string{}
	for _, session := range manager.SessionList {
		users[session.Key] = session.UserName
	}
	return users
}

// terminate ends the sessions that are meant and returns their number.
func (h *host) terminate(meant func(key, user string) bool) int {
	request := new(types.TerminateSession)
	for key, user := range h.sessions() {
		if meant(key, user) {
			request.SessionId = append(request.SessionId, key)
		}
	}
	h.service.Context.Map.SessionManager().TerminateSession(h.context(), request)
	return len(request.SessionId)
}
